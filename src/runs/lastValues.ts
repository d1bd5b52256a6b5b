import { LAST_VALUES } from '../../engine/sql/ownVariables.ts'
import type { LastValues } from '../../engine/sql/variables.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { runDetails } from '../metadata/runDetails.ts'
import { isDone, type RunRecord } from '../metadata/runs.ts'
import type { ReportData } from '../report/data.ts'
import type { JobSpec } from '../spec/job.ts'

/** Runs among which the last ones that loaded are looked for. */
const LOOKED_AT = 50
/** Runs of other nights than the last. */
export const EARLIER: string[] = ['backfill', 'restore'] satisfies RunRecord['trigger'][]

/**
 * What set checks gave as `value` in the last run that loaded, each in the last one that judged it: a run may have gone on
 * without its table, or without another. Backfills and restored runs are of earlier nights. Nothing is asked where no query
 * wants to know.
 */
export async function lastValues(
  metadata: Metadata,
  { job, checks, models, macros }: Pick<JobSpec, 'job' | 'checks' | 'models' | 'macros'>,
): Promise<LastValues> {
  const texts = [...checks, ...models, ...macros].map(({ sql }) => sql)
  if (!texts.some(sql => sql.toLowerCase().includes(LAST_VALUES))) return {}
  // A query may put a name together, or look at all of them.
  const wanted = new Set(checks.map(({ name }) => name))
  const values: LastValues = {}
  for (const { run, status, trigger } of await metadata.history({ job, limit: LOOKED_AT })) {
    if (wanted.size === 0) break
    if (EARLIER.includes(trigger)) continue
    const { report, measured } = await runDetails<Pick<ReportData, 'loads'>>(metadata.database, run)
    // One that failed may have gone on without a table.
    if (!isDone(status) && !report?.loads.length) continue
    for (const [name, value] of Object.entries(measured)) if (wanted.delete(name)) values[name] = value
  }
  return values
}
