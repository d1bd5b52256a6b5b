import { Command } from 'commander'

export function validateCommand(): Command {
  return new Command('validate')
    .description("Check a job's folder without touching any system")
    .argument('<job>', "the job's folder")
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight validate queries/members')
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const { loadJob } = await import('../config/load.ts')
      const { Duck } = await import('../../engine/sql/duckdb.ts')
      const { orderModels, tablesOf } = await import('../../engine/sql/graph.ts')
      const spec = await loadJob(folder, process.env)
      const duck = await Duck.open({ threads: 1 })
      try {
        const models = await orderModels(
          duck,
          spec.models,
          spec.extracts.map(({ name }) => name),
        )
        for (const check of spec.checks) await tablesOf(duck, check)
        const order = models.map(({ name }) => name)
        if (json) console.log(JSON.stringify({ valid: true, job: spec.job, models: order }))
        else
          console.log(
            `${spec.job} is valid: ${spec.extracts.length} extracts, ${order.length} models (${order.join(' → ')}), ` +
              `${spec.checks.length} checks, ${spec.loads.length} loads`,
          )
      } finally {
        duck.close()
      }
    })
}
