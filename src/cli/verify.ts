import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { describeVerification } from '../../engine/verify/result.ts'
import type { VerifyOutcome } from '../runs/verifyJob.ts'
import { homeFolder } from './home.ts'
import { printError } from './output.ts'
import { createProgress } from './progress.ts'

export function verifyCommand(): Command {
  return new Command('verify')
    .description('Compare the targets as they are now with what the last run staged for them')
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Reads every row of the loads' tables, inside the target; changes nothing. Exit code 3 where one differs.

Examples:
  nightfreight verify queries/members
  nightfreight verify queries/members --json`,
    )
    .action(async (folder: string, { json = false }: { json?: boolean }) => {
      const abort = new AbortController()
      const stop = () => abort.abort()
      process.once('SIGINT', stop).once('SIGTERM', stop)
      const progress = createProgress({
        stream: process.stderr,
        json,
        isTTY: Boolean(process.stderr.isTTY),
      })
      const secrets: string[] = []
      try {
        // Loaded where it is needed: commands that only look answer at once.
        const { verifyJob } = await import('../runs/verifyJob.ts')
        const found = await verifyJob({
          folder,
          env: process.env,
          home: homeFolder(),
          signal: abort.signal,
          secrets,
          progress: {
            started: task => progress.task(task),
            advanced: (task, rows) => progress.advance(task, rows),
            finished: (task, note) => progress.done(task, note),
            note: text => progress.note(text),
          },
        })
        progress.close()
        const equal = found.loads.every(({ wrong }) => wrong.rows === 0)
        console.log(json ? JSON.stringify({ event: 'result', equal, ...found }) : verifyText(found))
        if (!equal) process.exitCode = EXIT.quality
      } catch (error) {
        progress.close()
        process.exitCode = printError(error, json, { secrets })
      } finally {
        progress.close()
        process.off('SIGINT', stop).off('SIGTERM', stop)
      }
    })
}

/** One line a load, and one for each range that differs. */
export function verifyText({ job, loads }: VerifyOutcome): string {
  const lines = [`${job}:`]
  for (const load of loads) {
    const { to, table, run, wrong, differing, notes } = load
    const equal = wrong.rows === 0
    const summary = equal ? describeVerification(load) : `${wrong.ranges} of ${load.ranges} ranges differ`
    lines.push(`  ${equal ? 'equal  ' : 'DIFFERS'}  ${to}.${table}: ${summary} (as of run ${run})`)
    for (const { range, rows, samples } of differing.slice(0, 20))
      lines.push(
        `           ${range}: ${rows} ${rows === 1 ? 'row' : 'rows'}${samples.length > 0 ? `: ${samples.join('; ')}` : ''}`,
      )
    if (wrong.ranges > 20) lines.push(`           and ${wrong.ranges - 20} ranges more`)
    for (const note of notes) lines.push(`           ${note}`)
  }
  return lines.join('\n')
}
