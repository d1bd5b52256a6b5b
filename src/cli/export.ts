import { Command } from 'commander'
import { homeFolder } from './home.ts'
import { parseTime } from './parse.ts'

export function exportCommand(): Command {
  return new Command('export')
    .description("Print a job's SQL as a script for DuckDB's own shell")
    .argument('<job>', "the job's folder")
    .option('--at <time>', "the run's own time, ISO 8601 (default: now)", parseTime)
    .addHelpText(
      'after',
      `
Variables, macros, models and checks; extracts are views of the files that the last run staged, or empty tables before it. Rows
that checks reject are left out, as in a run; "MODEL before its checks" has them all, and "checks/MODEL/NAME" what a check finds.

Examples:
  nightfreight export queries/members > night.sql`,
    )
    .action(async (folder: string, { at }: { at?: Date }) => {
      const { exportSql } = await import('../workbench/exportSql.ts')
      console.log(await exportSql(folder, homeFolder(), at ?? new Date()))
    })
}
