import { LAST_VALUES, type LastValues } from '../../engine/sql/variables.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { runDetails } from '../metadata/runDetails.ts'
import { isDone } from '../metadata/runs.ts'
import type { JobSpec } from '../spec/job.ts'

/** Runs among which the last one that loaded is looked for. */
const LOOKED_AT = 50

/** What set checks gave as `value` in the last run that loaded; nothing is asked where no query wants to know. */
export async function lastValues(
  metadata: Metadata,
  { job, checks, models, macros }: Pick<JobSpec, 'job' | 'checks' | 'models' | 'macros'>,
): Promise<LastValues> {
  if (![...checks, ...models, ...macros].some(({ sql }) => sql.toLowerCase().includes(LAST_VALUES))) return {}
  const runs = await metadata.history({ job, limit: LOOKED_AT })
  const last = runs.find(({ status }) => isDone(status))
  if (!last) return {}
  return (await runDetails(metadata.database, last.run)).measured
}
