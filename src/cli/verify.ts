import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { describeVerification } from '../../engine/verify/result.ts'
import type { VerifyOutcome } from '../runs/verifyJob.ts'
import { shellWord } from '../util/shell.ts'
import { homeFolder } from './home.ts'
import { isTerminal, print, printError } from './output.ts'
import { createProgress } from './progress.ts'
import { finish } from './run.ts'
import { stoppedAtOnce } from './signals.ts'

interface VerifyFlags {
  json?: boolean
  repair?: boolean
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description('Compare the targets as they are now with what the last run staged for them')
    .argument('<job>', "the job's folder")
    .option(
      '--repair',
      'load the tables that differ anew: the target writes the rows that differ, and no other',
    )
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Reads every row of the loads' tables, inside the target; without --repair it changes nothing. Exit code 3 where one
differs, or still does; 2 where all that were compared are equal and one could not be.

Examples:
  nightfreight verify queries/members
  nightfreight verify queries/members --json
  nightfreight verify queries/members --repair`,
    )
    .action(async (folder: string, { json = false, repair = false }: VerifyFlags) => {
      const different = await look(folder, json, !repair)
      if (!repair || !different || different.length === 0) return
      const code = await finish({ folder, json, fresh: true, fullRefresh: different })
      if (code !== 0) process.exitCode = code
      else await look(folder, json, false)
    })
}

/** Verifies, prints what was found, and gives the tables that differ; undefined where it failed. */
async function look(folder: string, json: boolean, advise: boolean): Promise<string[] | undefined> {
  const progress = createProgress({ stream: process.stderr, json, isTTY: isTerminal(process.stderr) })
  const secrets: string[] = []
  try {
    // Loaded where it is needed: commands that only look answer at once.
    const { verifyJob } = await import('../runs/verifyJob.ts')
    const found = await stoppedAtOnce(signal =>
      verifyJob({
        folder,
        env: process.env,
        home: homeFolder(),
        signal,
        secrets,
        progress: {
          started: task => progress.task(task),
          advanced: (task, rows) => progress.advance(task, rows),
          finished: (task, note) => progress.done(task, note),
          note: text => progress.note(text),
        },
      }),
    )
    progress.close()
    const different = found.loads.filter(({ wrong }) => wrong.rows > 0).map(({ table }) => table)
    const [left] = found.left
    const equal = different.length === 0 && !left
    print(json ? JSON.stringify({ event: 'result', equal, ...found }) : verifyText(found))
    if (different.length > 0 && advise && !json)
      print(`Load what differs:  nightfreight verify ${shellWord(folder)} --repair`)
    process.exitCode = different.length > 0 ? EXIT.quality : left ? EXIT.usage : EXIT.ok
    return different
  } catch (error) {
    progress.close()
    process.exitCode = printError(error, json, { secrets })
    return undefined
  } finally {
    progress.close()
  }
}

/** One line a load, and one for each range that differs. */
export function verifyText({ job, loads, left }: VerifyOutcome): string {
  const lines = [`${job}:`]
  for (const load of loads) {
    const { to, table, run, wrong, differing, notes } = load
    const equal = wrong.rows === 0
    const summary = equal
      ? describeVerification(load)
      : `${wrong.ranges} of ${counted(load.ranges, 'range')} differ`
    lines.push(`  ${equal ? 'equal  ' : 'DIFFERS'}  ${to}.${table}: ${summary} (as of run ${run})`)
    for (const { range, rows, samples } of differing.slice(0, 20))
      lines.push(
        `           ${range}: ${counted(rows, 'row')}${samples.length > 0 ? `: ${samples.join('; ')}` : ''}`,
      )
    if (wrong.ranges > 20) lines.push(`           and ${counted(wrong.ranges - 20, 'range')} more`)
    for (const note of notes) lines.push(`           ${note}`)
  }
  for (const { reason, hint } of left) {
    lines.push(`  NOT COMPARED  ${reason}`)
    if (hint) lines.push(`           ${hint}`)
  }
  return lines.join('\n')
}
