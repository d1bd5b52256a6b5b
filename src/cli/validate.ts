import { Command } from 'commander'
import { homeFolder } from './home.ts'

export function validateCommand(): Command {
  return new Command('validate')
    .description("Check a job's folder without touching any system")
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight validate queries/members')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { validateJob } = await import('../runs/validateJob.ts')
      const { spec, graph, warnings, unknown } = await validateJob(folder, process.env, homeFolder())
      const order = graph.models.filter(({ extract }) => !extract).map(({ name }) => name)
      if (json) {
        console.log(JSON.stringify({ valid: true, job: spec.job, models: order, warnings, unknown }))
        return
      }
      const { faultText } = await import('../../engine/sql/faults.ts')
      for (const warning of warnings) console.log(`warning: ${faultText(warning)}`)
      for (const { file, extracts } of unknown)
        console.log(
          `warning: ${file} could not be bound: the columns of ${extracts.join(', ')} are not known before the first run`,
        )
      console.log(
        `${spec.job} is valid: ${spec.extracts.length} extracts, ${order.length} models (${order.join(' → ')}), ` +
          `${spec.checks.length} checks, ${spec.loads.length} loads`,
      )
    })
}
