import type { Outcome } from '../../engine/pipeline.ts'
import { total } from '../../engine/quality/accounts.ts'
import type { Measured } from '../metadata/runDetails.ts'
import type { RunFigures } from '../metadata/syncHistory.ts'
import type { TableResult } from '../metadata/tableHistory.ts'
import { rowsLabel, type Total } from '../metadata/totals.ts'
import { dataLag } from '../sla/targets.ts'
import type { JobSpec } from '../spec/job.ts'
import type { LiveRun } from './liveRun.ts'

/** Rows of the targets that a run changed. */
export const changedRows = ({ loaded }: Outcome): number =>
  loaded.reduce((sum, load) => sum + load.inserted + load.updated + load.deleted, 0)

/** How a run went, for the history. */
export function figuresOf(outcome: Outcome, live: LiveRun, runAt: string): RunFigures {
  const lag = dataLag(outcome.extracted, new Date(runAt))
  const { chunks, rows, bytes } = live.chunkTotals
  return {
    qualityScore: outcome.quality.score,
    ...(lag && { dataLagSeconds: lag.millis / 1000 }),
    retries: live.retries,
    lockWaits: live.lockWaits,
    chunks,
    chunkRows: rows,
    chunkBytes: bytes,
  }
}

/** What its set checks measured, shown or not: the next run compares with it. */
export const measuredBy = ({ checks }: Outcome): Measured =>
  Object.fromEntries(checks.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])))

/** What the run made of each loaded table. */
export function tablesOf(spec: JobSpec, { accounts, loaded, tables, feeds }: Outcome): TableResult[] {
  return accounts.loads.map(({ table, to, read, loaded: rows, unchanged, rejected, superseded }) => {
    const counts = loaded.find(load => load.table === table && load.to === to)!
    const from = spec.loads.find(load => load.table === table && load.to === to)!.from
    const columns = tables.findLast(({ name }) => name === from)?.columns ?? []
    return {
      table: `${to}.${table}`,
      read,
      loaded: rows,
      unchanged,
      rejected,
      superseded,
      inserted: counts.inserted,
      updated: counts.updated,
      deleted: counts.deleted,
      madeFrom: feeds[table] ?? [],
      columns: columns.map(({ name, native }) => ({ name, type: native })),
    }
  })
}

/**
 * What is counted of a run as a whole (`counted`: one that is resumed reports all of it again) and of this process's work
 * on it (`added`). `errors`: rejected rows by category.
 */
export function totalsOf(
  outcome: Outcome,
  errors: ReadonlyMap<string, number>,
  tables: TableResult[],
  figures: RunFigures,
): { counted: Total[]; added: Total[] } {
  const { quality, accounts } = outcome
  // Of a run that the quality gate stopped, the table that it was stopped by.
  const records = accounts.loads.length > 0 ? total(accounts.loads).read : (quality.worst?.rows ?? 0)
  const outcomes = Object.keys(total(accounts.loads)) as (keyof ReturnType<typeof total>)[]
  return {
    counted: [
      { name: 'processed', label: '', value: changedRows(outcome) },
      { name: 'records', label: '', value: records },
      ...[...errors].map(([label, value]): Total => ({ name: 'errors', label, value })),
      ...tables.flatMap(result =>
        outcomes.map(
          (outcome): Total => ({
            name: 'rows',
            label: rowsLabel(outcome, result.table),
            value: result[outcome],
          }),
        ),
      ),
    ],
    added: [
      { name: 'retries', label: '', value: figures.retries },
      { name: 'lock_waits', label: '', value: figures.lockWaits },
      { name: 'chunks', label: '', value: figures.chunks },
      { name: 'chunk_rows', label: '', value: figures.chunkRows },
      { name: 'chunk_bytes', label: '', value: figures.chunkBytes },
    ],
  }
}
