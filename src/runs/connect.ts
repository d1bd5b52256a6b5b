import type { Source } from '../../engine/contracts/source.ts'
import type { Target } from '../../engine/contracts/target.ts'
import type { JobSpec } from '../spec/job.ts'

/** Sources and targets of a job by connection; none is connected yet. */
export function connect(spec: JobSpec) {
  const sources = new Map<string, Source>()
  const targets = new Map<string, Target>()
  for (const [name, { connector, config, context }] of Object.entries(spec.connections)) {
    if (spec.extracts.some(extract => extract.from === name))
      sources.set(name, connector.source!(config, context))
    if (spec.loads.some(load => load.to === name)) targets.set(name, connector.target!(config, context))
  }
  return { sources, targets }
}
