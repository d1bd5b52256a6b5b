import { Command } from 'commander'
import { homeFolder } from './home.ts'
import { print, printError } from './output.ts'
import { parseTime } from './parse.ts'
import { withMeans } from './run.ts'
import { stoppable } from './signals.ts'
import { printSummary } from './summary.ts'

interface TaskFlags {
  run: string
  task: string
  at?: Date
  json?: boolean
}

export function taskCommand(): Command {
  return new Command('task')
    .description('Single steps of a run, for an orchestrator')
    .addHelpText('after', '\nExample:\n  nightfreight task run queries/members --run 2026-02-01 --task check')
    .addCommand(
      new Command('run')
        .description('Do one step of a run, on any machine that shares METADATA_URL and STAGING_URL')
        .argument('<job>', "the job's folder")
        .requiredOption('--run <key>', 'what the orchestrator calls the run: the same for each of its steps')
        .requiredOption(
          '--task <step>',
          'check, plan, extract.CONNECTION, models, load.CONNECTION or finish, in this order; those of a kind side by side. Before models prepare and bucket.NUMBER, where a model is made in buckets',
        )
        .option(
          '--at <time>',
          "the run's own time, ISO 8601 (default: now); counts when check begins it",
          parseTime,
        )
        .option('--json', 'print events and the result as JSON lines')
        .addHelpText(
          'after',
          `
A step may be repeated, and two attempts may overlap: what is committed is not done again. It ends with 75 where a repeat
may help. nightfreight airflow export writes a DAG of these steps.

Examples:
  nightfreight task run queries/members --run 2026-02-01 --task check
  nightfreight task run queries/members --run 2026-02-01 --task extract.legacy`,
        )
        .action(async (folder: string, flags: TaskFlags) => {
          process.exitCode = await runTask(folder, flags)
        }),
    )
}

async function runTask(
  folder: string,
  { run: key, task: step, at, json = false }: TaskFlags,
): Promise<number> {
  const { runStep } = await import('../runs/runStep.ts')
  const { run, isOver, result } = await stoppable(stopping =>
    withMeans({ folder, ...stopping, env: process.env, home: homeFolder(), json, runAt: at }, options =>
      runStep({ ...options, key, step }),
    ),
  )
  if (result) printSummary(result, json)
  else print(json ? JSON.stringify({ event: 'result', run, step, isOver }) : `${step}: done (run ${run})`)
  return result?.error === undefined ? 0 : printError(result.error, json)
}
