import { join } from 'node:path'
import { Command } from 'commander'
import { counted } from '../../engine/plural.ts'
import { hasMetadata } from '../metadata/open.ts'
import { environmentName } from './environment.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'

export function docsCommand(): Command {
  return new Command('docs')
    .description('Write pages about a project: tables, columns, checks, lineage, last runs')
    .argument('<job>', "the job's folder, or a folder of jobs")
    .option('--out <folder>', 'where the pages go', 'project-docs')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Plain files that open without a server or a network. Jobs in the same folder are one project. Descriptions are the comments before
a model's query; results of checks and runs are those that this machine, or METADATA_URL, knows. No row's values are in them.

Examples:
  nightfreight docs queries/members
  nightfreight docs queries --out public/data`,
    )
    .action(async (folder: string, { out, json }: { out: string; json?: boolean }) => {
      const { openLineage } = await import('../workbench/lineage.ts')
      const { readNights } = await import('../projectSite/data.ts')
      const { writeSite } = await import('../projectSite/write.ts')
      const home = homeFolder()
      const environment = environmentName()
      const lineage = await openLineage(folder, home)
      const metadata = hasMetadata(home, process.env.METADATA_URL) ? await openMetadata(home) : undefined
      const nights = await readNights(lineage, metadata).finally(() => metadata?.close())
      const pages = writeSite(out, {
        lineage,
        nights,
        madeAt: systemClock.now(),
        ...(environment !== undefined && { environment }),
      })
      const index = join(out, 'index.html')
      const { left } = lineage
      if (json) return print(JSON.stringify({ pages, index, left }))
      print(
        [
          `${counted(pages, 'page')}: ${index}`,
          ...left.map(({ job, reason }) => `left out: ${job}: ${reason}`),
        ].join('\n'),
      )
    })
}
