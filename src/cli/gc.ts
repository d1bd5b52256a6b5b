import { Command } from 'commander'
import { counted } from '../../engine/plural.ts'
import { megabytes } from '../util/units.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'
import { parseCount } from './parse.ts'

interface GcFlags {
  keepDays: number
  dryRun?: boolean
  json?: boolean
}

/** What is said of what goes, beside its size. */
const MORE = {
  run: '',
  files: ', the rest is needed',
  temporary: ', temporary files of a process that is gone',
}

export function gcCommand(): Command {
  return new Command('gc')
    .description(
      'Remove old runs: staged data, reports, metadata, and alerts whose causes are gone; never what a run still needs',
    )
    .argument('[jobs...]', 'folders of jobs whose archives are to let go what is past their retention')
    .option(
      '--keep-days <n>',
      'keep runs that ended, and alerts that were sent, within this many days',
      parseCount,
      30,
    )
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight gc --dry-run\n  nightfreight gc --keep-days 14\n  nightfreight gc queries/members',
    )
    .action(async (jobs: string[], { keepDays, dryRun = false, json }: GcFlags) => {
      const { collectGarbage } = await import('../runs/gc.ts')
      const { createLog } = await import('./log.ts')
      const home = homeFolder()
      const metadata = await openMetadata(home)
      const log = createLog({ folder: home })
      const collected = await collectGarbage({
        metadata,
        home,
        staging: process.env.STAGING_URL,
        clock: systemClock,
        log,
        keepDays,
        dryRun,
      }).finally(() => metadata.close())
      const archives = []
      for (const folder of jobs) {
        const { loadJob } = await import('../config/load.ts')
        const { expireArchive } = await import('../runs/archive.ts')
        const spec = await loadJob(folder, process.env)
        archives.push({ job: spec.job, ...(await expireArchive(spec, systemClock, dryRun)) })
      }
      if (json) {
        print(JSON.stringify({ dryRun, removed: collected, archives }))
        return
      }
      for (const { run, job, what, files, bytes } of collected) {
        const whose = job === '' ? run : `${job}  ${run}`
        print(`${whose}  ${counted(files, 'file')}, ${megabytes(bytes)}${MORE[what]}`)
      }
      for (const { job, runs, files, bytes } of archives)
        print(
          `${job}  archive: ${counted(runs.length, 'run')}, ${counted(files, 'file')}, ${megabytes(bytes)}`,
        )
      const total = collected.reduce((sum, { bytes }) => sum + bytes, 0)
      const runs = collected.filter(({ what }) => what === 'run').length
      print(`${dryRun ? 'Would remove' : 'Removed'} ${counted(runs, 'run')}, ${megabytes(total)}`)
    })
}
