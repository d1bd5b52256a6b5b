import { Command } from 'commander'
import { EngineError, EXIT } from '../../engine/errors.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { addCommand } from './add.ts'
import { airflowCommand } from './airflow.ts'
import { alertsCommand } from './alerts.ts'
import { backfillCommand } from './backfill.ts'
import { cancelCommand } from './cancel.ts'
import { changesCommand } from './changes.ts'
import { checkpointsCommand } from './checkpoints.ts'
import { completionCommand } from './completion.ts'
import { copyCommand } from './copy.ts'
import { demoCommand } from './demo.ts'
import { docsCommand } from './docs.ts'
import { doctorCommand } from './doctor.ts'
import { enterEnvironment } from './environment.ts'
import { errorsCommand } from './errors.ts'
import { exportCommand } from './export.ts'
import { gcCommand } from './gc.ts'
import { historyCommand } from './history.ts'
import { initCommand } from './init.ts'
import { intervalsCommand } from './intervals.ts'
import { lineageCommand } from './lineage.ts'
import { DEBUG, printError } from './output.ts'
import { pauseCommand, unpauseCommand } from './pause.ts'
import { planCommand } from './plan.ts'
import { restoreCommand } from './restore.ts'
import { resumeCommand } from './resume.ts'
import { runCommand } from './run.ts'
import { runIntervalCommand } from './runInterval.ts'
import { serveCommand } from './serve.ts'
import { shellCommand } from './shell.ts'
import { showCommand } from './show.ts'
import { statusCommand } from './status.ts'
import { taskCommand } from './task.ts'
import { testCommand } from './test.ts'
import { usersCommand } from './users.ts'
import { validateCommand } from './validate.ts'
import { verifyCommand } from './verify.ts'

const EXAMPLES = `
Examples:
  nightfreight copy "$SHOP_URL" duckdb:first.duckdb
  nightfreight init queries/shop --from "$SHOP_URL" --to duckdb:warehouse.duckdb --exclude "tmp_*"
  nightfreight run queries/members
  nightfreight status

Documents are in the package, at "$(npm root --global)/nightfreight/docs": tutorial.md, reference/job.md (every key of job.yaml),
connectors/ (files, databases, HTTP APIs).
`

const EXIT_CODES = `
Exit codes:
  0    done (bad rows below the threshold are in the quarantine: COMPLETED_WITH_ERRORS)
  1    internal error (a bug): please report it
  2    the job, the command line or a privilege is wrong; a repeat gives the same
  3    the quality gate or a check stopped the run, or a target differs from what was loaded
  4    the data cannot be read or loaded as it is
  10   plan --exit-code: the run would change a target
  75   a transient failure of a system: run the same command again
  130  interrupted`

/** Every command, with options, help and examples. */
export function commandLine(): Command {
  const root = new Command('nightfreight')
    .description('Moves tables at night: extract, clean, find what changed, bulk-load.')
    .version(packageJson.version)
    .commandsGroup('Begin:')
    .addCommand(copyCommand())
    .addCommand(initCommand())
    .addCommand(addCommand())
    .addCommand(doctorCommand())
    .addCommand(demoCommand())
    .commandsGroup('Run:')
    .addCommand(planCommand())
    .addCommand(runCommand())
    .addCommand(resumeCommand())
    .addCommand(verifyCommand())
    .addCommand(cancelCommand())
    .addCommand(restoreCommand())
    .addCommand(checkpointsCommand())
    .commandsGroup('Look, and mend:')
    .addCommand(statusCommand())
    .addCommand(historyCommand())
    .addCommand(errorsCommand())
    .addCommand(alertsCommand())
    .addCommand(changesCommand())
    .addCommand(gcCommand())
    .commandsGroup('Write models and checks:')
    .addCommand(validateCommand())
    .addCommand(testCommand())
    .addCommand(showCommand())
    .addCommand(shellCommand())
    .addCommand(exportCommand())
    .addCommand(lineageCommand())
    .addCommand(docsCommand())
    .commandsGroup('By schedule:')
    .addCommand(serveCommand())
    .addCommand(backfillCommand())
    .addCommand(intervalsCommand())
    .addCommand(pauseCommand())
    .addCommand(unpauseCommand())
    .addCommand(usersCommand())
    .addCommand(airflowCommand())
    .addCommand(runIntervalCommand(), { hidden: true })
    .addCommand(taskCommand())
    .commandsGroup('Of the command line:')
    .addCommand(completionCommand(commandLine))
    .addHelpText('after', `${EXAMPLES}${EXIT_CODES}`)
  settle(root, [])
  return root
}

/** Arguments that name folders of jobs. */
const JOBS = ['job', 'jobs', 'folders', 'job or run']
const ENVIRONMENT = '--env <name>'

/** What all commands have in common. */
function settle(command: Command, above: string[]): void {
  const path = [...above, command.name()]
  command.exitOverride().showHelpAfterError(`hint: ${path.join(' ')} --help shows its options and examples`)
  if (command.commands.length === 0) command.option(DEBUG, 'after an error that was not expected: show where')
  if (command.registeredArguments.some(each => JOBS.includes(each.name())))
    command
      .option(
        ENVIRONMENT,
        "work in that one of the job's environments; variables of .env.NAME, beside the job, go before those of .env",
      )
      .hook('preAction', async (_, { opts, args }) => {
        const { env } = opts.call(command)
        if (env !== undefined) process.env.NIGHTFREIGHT_ENV = env
        await enterEnvironment(path.slice(1).join(' '), args, env !== undefined)
      })
  for (const each of command.commands) settle(each, path)
}

/** Runs the command line; sets the process's exit code. */
export async function program(argv: string[]): Promise<void> {
  try {
    await commandLine().parseAsync(argv)
  } catch (error) {
    if (isUsage(error)) process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage
    else process.exitCode = printError(error, argv.includes('--json'))
  }
}

// Commander has printed its own message by then.
function isUsage(error: unknown): error is { exitCode: number } {
  return (
    error instanceof Error && !(error instanceof EngineError) && error.constructor.name === 'CommanderError'
  )
}
