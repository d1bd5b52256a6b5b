import type { Source } from '../../engine/contracts/source.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import type { OpenStagedJob } from '../connectors/declare/stagedJob.ts'
import type { JobSpec } from '../spec/job.ts'

/** Sources and targets of a job by connection, in an environment no source; none is connected yet. `openJob`: for those that are read. */
export function connect(spec: JobSpec, openJob?: OpenStagedJob) {
  const sources = new Map<string, Source>()
  const targets = new Map<string, Target>()
  // Half of what the run's own session of DuckDB may hold.
  const memory = Math.floor(shareMemory(spec.resources.memory, spec.resources.threads).sql / 2)
  for (const [name, { connector, config, context }] of Object.entries(spec.connections)) {
    if (spec.environment === undefined && spec.extracts.some(extract => extract.from === name))
      sources.set(name, connector.source!(config, { ...context, ...(openJob && { openJob }) }))
    if (spec.loads.some(load => load.to === name))
      targets.set(name, connector.target!(config, { ...context, memory }))
  }
  return { sources, targets }
}
