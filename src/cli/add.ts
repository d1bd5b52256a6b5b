import { Command } from 'commander'
import { print } from './output.ts'
import { stoppable } from './signals.ts'

const EXAMPLE = '\nExample:\n  nightfreight add table queries/shop refunds'

export function addCommand(): Command {
  return new Command('add')
    .description('Add to a job')
    .addHelpText('after', EXAMPLE)
    .addCommand(
      new Command('table')
        .description(
          "Add tables of the source to a job's extracts and loads, with the keys that they have there",
        )
        .argument('<job>', "the job's folder")
        .argument('<tables...>', 'their names, or globs')
        .option('--from <connection>', 'which connection they are read from (default: the only one)')
        .addHelpText('after', EXAMPLE)
        .action(async (folder: string, tables: string[], { from }: { from?: string }) => {
          const { addTables } = await import('../init/add.ts')
          const added = await stoppable(({ signal }) =>
            addTables(folder, tables, process.env, { signal, ...(from && { from }) }),
          )
          print(
            added.length > 0
              ? `${folder}/job.yaml reads and loads ${added.join(', ')}, too`
              : `${folder}/job.yaml reads them already`,
          )
        }),
    )
}
