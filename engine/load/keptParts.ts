import { REJECTED } from '../batch/builder.ts'
import type { ZstdFormat } from '../contracts/staging.ts'
import type { PlannedRead } from '../plan/plan.ts'
import type { RunContext } from '../runtime/context.ts'
import type { OrderedModel } from '../sql/model.ts'

/** Estimated bytes of a table from which compressing it is worth while: small ones are the same files night after night. */
const LEAST_BYTES = 32 << 20

/**
 * The extracts that nobody wants but one target, for the first time, which keeps their parts as they lie: its lanes compress
 * them as that asks. `lastRun`: per target, the run whose data it holds.
 */
export function keptParts(
  { spec, targets }: Pick<RunContext, 'spec' | 'targets'>,
  reads: PlannedRead[],
  models: Pick<OrderedModel, 'reads'>[],
  lastRun: Map<string, string>,
): Map<string, ZstdFormat> {
  const found = new Map<string, ZstdFormat>()
  for (const { extract, columns, base, changes, bytes = 0 } of reads) {
    const [load, ...more] = spec.loads.filter(({ from }) => from === extract)
    const isRead = models.some(model => model.reads.includes(extract))
    if (!load || more.length > 0 || isRead || lastRun.has(load.to)) continue
    if (base || changes || bytes < LEAST_BYTES || columns.some(({ name }) => name === REJECTED)) continue
    const format = targets.get(load.to)?.keepsParts
    if (format && load.partitionBy.length === 0) found.set(extract, format)
  }
  return found
}
