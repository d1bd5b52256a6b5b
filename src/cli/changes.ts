import { Command } from 'commander'
import type { FollowedLog } from '../runs/changeLogs.ts'
import { megabytes } from '../util/units.ts'
import { print } from './output.ts'

export function changesCommand(): Command {
  return new Command('changes')
    .description('Show, or remove, what servers keep of their logs for a job with mode: changes')
    .addCommand(statusCommand())
    .addCommand(dropCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight changes status queries/orders\n  nightfreight changes drop queries/orders',
    )
}

function statusCommand(): Command {
  return new Command('status')
    .description('Show how far each log is kept for a job, and how much that is')
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight changes status queries/orders')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { loadJob } = await import('../config/load.ts')
      const { logStatus } = await import('../runs/changeLogs.ts')
      const spec = await loadJob(folder, process.env)
      const logs = await logStatus(spec, new AbortController().signal)
      if (json) print(JSON.stringify({ job: spec.job, logs }))
      else for (const log of logs) print(statusText(log))
    })
}

function dropCommand(): Command {
  return new Command('drop')
    .description(
      'Have the servers forget a job: they keep no log for it, and its next run needs --full-refresh',
    )
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight changes drop queries/orders')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { loadJob } = await import('../config/load.ts')
      const { dropLogs } = await import('../runs/changeLogs.ts')
      const spec = await loadJob(folder, process.env)
      const dropped = await dropLogs(spec, new AbortController().signal)
      if (json) {
        print(JSON.stringify({ job: spec.job, dropped }))
        return
      }
      for (const { connection, removed } of dropped)
        print(`${connection}: ${removed.length > 0 ? `removed ${removed.join(', ')}` : 'nothing was kept'}`)
    })
}

function statusText({ connection, holder, exists, kept, end, bytes, notes, extracts }: FollowedLog): string {
  const lines = [
    `${connection}: ${exists ? holder : `no ${holder} yet: the first run makes it`}`,
    `  tables    ${extracts.join(', ')}`,
    ...(kept !== undefined ? [`  kept from ${kept}`] : []),
    `  log ends  ${end}`,
    ...(bytes !== undefined ? [`  kept      ${megabytes(bytes)}`] : []),
    ...notes.map(note => `  note      ${note}`),
  ]
  return lines.join('\n')
}
