import { Command } from 'commander'
import { finish } from './run.ts'

interface RestoreFlags {
  of?: string
  fresh?: boolean
  json?: boolean
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description("Run a job on the raw data that an archived run had read, instead of its sources'")
    .argument('<run>', 'id of the archived run')
    .argument('<job>', "the job's folder; its archive: says where to look")
    .option('--of <name>', 'name of the job that the run was of (default: this job)')
    .option('--fresh', 'give up an interrupted run of the job')
    .option('--json', 'print events and the result as JSON lines')
    .addHelpText(
      'after',
      `
Models, checks, comparison and load go on as in any run, with the time of that night; no source is read. The targets'
sync points become that night's, so the next run reads everything since. To look at a past night beside the present
one, copy the job's folder, give it another name and another warehouse, and restore into that with --of.

Examples:
  nightfreight restore 20260201T020000123-4f1c9a queries/members
  nightfreight restore 20260201T020000123-4f1c9a queries/members_then --of member_data_warehouse_sync`,
    )
    .action(async (run: string, folder: string, { of, fresh, json }: RestoreFlags) => {
      process.exitCode = await finish({ folder, fresh, json, restore: { run, of } })
    })
}
