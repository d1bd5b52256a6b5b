import type { Prepared } from '../../engine/plan/prepare.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { JobSpec } from '../spec/job.ts'

/** Runs that are looked at for the last one that loaded. */
const LOOKED_AT = 50

/** Says which tables the job's globs stand for since its last load, and which no longer. */
export async function tellTables(
  metadata: Metadata,
  { job, extracts, listed }: JobSpec,
  note: (text: string) => void,
): Promise<void> {
  if (listed.length === 0) return
  const runs = await metadata.runs(LOOKED_AT, job)
  const last = runs.find(({ status, goal }) => goal === 'load' && /^(SUCCESS|COMPLETED)/.test(status))
  if (!last) return
  const planned = await metadata.taskStore(last).output<Prepared>('plan')
  if (!planned) return
  const before = planned.plan.reads.map(({ extract }) => extract)
  const fresh = listed.filter(name => !before.includes(name))
  if (fresh.length > 0) note(`new in the source, and loaded from now on: ${fresh.join(', ')}`)
  const gone = before.filter(name => !extracts.some(extract => extract.name === name))
  if (gone.length > 0)
    note(`no longer in the source, or excluded since, and left as they are in the target: ${gone.join(', ')}`)
}
