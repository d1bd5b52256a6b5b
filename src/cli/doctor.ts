import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Reach every connection of a job and tell what is missing, with the statement that gives it')
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight doctor queries/members')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { loadJob } = await import('../config/load.ts')
      const { examine } = await import('../runs/doctor.ts')
      const { signal } = new AbortController()
      const spec = await loadJob(folder, process.env, { signal })
      const home = homeFolder()
      await using stack = new AsyncDisposableStack()
      const openJob = async (job: string) => {
        const { openStagedJobs } = await import('../runs/stagedJob.ts')
        return openStagedJobs(await openMetadata(home), home, process.env.STAGING_URL, stack)(job)
      }
      const examined = await examine(spec, home, openJob, signal)
      const lacking = examined.flatMap(({ findings }) => findings).filter(({ ok }) => !ok)
      const wrong = lacking.filter(({ optional }) => !optional).length
      const better = lacking.length - wrong
      if (wrong > 0) process.exitCode = EXIT.usage
      if (json) {
        print(JSON.stringify({ job: spec.job, ok: wrong === 0, examined }))
        return
      }
      for (const { name, findings } of examined) {
        print(name)
        for (const { ok, optional, what, fix } of findings) {
          print(`  ${ok ? 'ok     ' : optional ? 'better ' : 'MISSING'}  ${what}`)
          if (fix !== undefined) print(`             ${fix}`)
        }
      }
      const said = wrong === 0 ? 'nothing is missing' : `${wrong} missing`
      print(`${spec.job}: ${said}${better > 0 ? `, ${better} could be better` : ''}`)
    })
}
