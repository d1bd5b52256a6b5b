import { Command } from 'commander'
import type { Metadata } from '../metadata/metadata.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { violationsOf } from '../metadata/violations.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob } from './parse.ts'
import { lasted, noRuns, stateOf } from './runState.ts'
import { violationsText, withViolations } from './violations.ts'

export function statusCommand(): Command {
  return new Command('status')
    .description('Show the latest runs, and the tasks of the newest one')
    .argument('[job or run]', 'only the runs of this job (its folder, or its name), or that run')
    .option('--limit <n>', 'how many runs', parseCount, 10)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight status\n  nightfreight status 20260201T020000-4f1c9a\n  nightfreight status queries/members --json',
    )
    .action(async (wanted: string | undefined, { limit, json }: { limit: number; json?: boolean }) => {
      const metadata = await openMetadata(homeFolder())
      const { runs, violations, tasks, none } = await readStatus(metadata, wanted, limit).finally(() =>
        metadata.close(),
      )
      if (json) print(JSON.stringify({ runs: withViolations(runs, violations), tasks }))
      else if (runs.length === 0) print(none)
      else {
        for (const run of runs)
          print(
            `${run.run}  ${run.job}  ${run.state}  ${span(run)}${violationsText(violations.get(run.run))}${failure(run)}`,
          )
        print(tasks.length > 0 ? `\nTasks of ${runs[0]!.run}:` : `\n${runs[0]!.run} has begun no task.`)
        for (const task of tasks) {
          const waits = task.status === 'RUNNING' ? failure(task) : ''
          print(`  ${task.status.padEnd(8)} ${task.task}  ${span(task)}${waits}`)
        }
      }
    })
}

async function readStatus(metadata: Metadata, wanted: string | undefined, limit: number) {
  const one = wanted === undefined ? undefined : await metadata.run(wanted)
  const found = one ? [one] : await metadata.runs(limit, wanted === undefined ? undefined : parseJob(wanted))
  const names = found.map(({ run }) => run)
  return {
    runs: found.map(run => ({ ...run, state: stateOf(run) })),
    violations: await violationsOf(metadata.database, names),
    tasks: names[0] === undefined ? [] : await metadata.tasks(names[0]),
    none: names.length === 0 ? await noRuns(metadata, wanted) : '',
  }
}

function span({ started_at, ended_at }: { started_at: string; ended_at: string | null }): string {
  const took = lasted({ started_at, ended_at })
  return took === undefined ? `since ${started_at}` : `${started_at}  ${took}`
}

function failure({ error }: Pick<RunRecord, 'error'>): string {
  if (!error) return ''
  const { code, message } = JSON.parse(error) as { code?: string; message: string }
  return `\n    ${code === undefined ? '' : `${code}: `}${message}`
}
