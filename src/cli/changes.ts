import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { FollowedLog } from '../runs/changeLogs.ts'
import type { JobSpec } from '../spec/job.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
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
      const logs = await logStatus(spec, new AbortController().signal, unasked(spec))
      if (logs.length === 0) throw nothingKept(spec.job)
      if (json) print(JSON.stringify({ job: spec.job, logs }))
      else for (const log of logs) print(statusText(log))
    })
}

function dropCommand(): Command {
  return new Command('drop')
    .description(
      'Have the servers forget a job: they keep no log for it, and where it reads one its next run needs --full-refresh',
    )
    .argument('<job>', "the job's folder")
    .argument(
      '[connections...]',
      'those of its connections whose servers are to forget it; all where none is named',
    )
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight changes drop queries/orders\n  nightfreight changes drop queries/orders shop',
    )
    .action(async (folder: string, only: string[], { json }: { json?: boolean }) => {
      const { loadJob } = await import('../config/load.ts')
      const { dropLogs } = await import('../runs/changeLogs.ts')
      const spec = await loadJob(folder, process.env)
      const dropped = await dropLogs(spec, new AbortController().signal, { only, unasked: unasked(spec) })
      if (dropped.length === 0) throw nothingKept(spec.job)
      if (json) {
        print(JSON.stringify({ job: spec.job, dropped }))
        return
      }
      for (const { connection, removed } of dropped)
        print(`${connection}: ${removed.length > 0 ? `removed ${removed.join(', ')}` : 'nothing was kept'}`)
    })
}

const unasked =
  ({ secrets }: JobSpec) =>
  (connection: string, { message }: EngineError) =>
    void process.stderr.write(
      `${connection}: not asked whether it keeps a log: ${legible(redact(message, secrets))}\n`,
    )

const nothingKept = (job: string) =>
  new EngineError(
    'CONFIG_INVALID',
    `${job}: no extract has mode: changes, and no server keeps a log for it`,
    {
      hint: 'Give an extract of a Postgres, MySQL or MariaDB connection mode: changes.',
    },
  )

function statusText({ connection, holder, exists, kept, end, bytes, notes, extracts }: FollowedLog): string {
  const lines = [
    `${connection}: ${exists ? holder : `no ${holder} yet: the first run makes it`}`,
    `  tables    ${extracts.length > 0 ? extracts.join(', ') : 'none: no extract reads it any more'}`,
    ...(kept !== undefined ? [`  kept from ${kept}`] : []),
    `  log ends  ${end}`,
    ...(bytes !== undefined ? [`  kept      ${megabytes(bytes)}`] : []),
    ...notes.map(note => `  note      ${note}`),
  ]
  return lines.join('\n')
}
