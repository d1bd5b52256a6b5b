import { REJECT_ROW, type RejectedRow } from '../contracts/rowValidation.ts'
import { EngineError } from '../errors.ts'
import type { Findings } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { lanesTo } from '../runtime/lanes.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { REJECT } from '../sql/words.ts'
import { goodRows } from '../staging/dataSet.ts'
import { copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import type { Changes } from './changeSet.ts'
import { KIND, ROW } from './compare.ts'

/** Rows of one load that are named one by one; more are a wrong column, not bad rows. */
const MAX_REJECTS = 100_000

/** Name of the check that a load's target makes of its rows. */
export const fitsCheck = (table: string) => `fits ${table}`

/**
 * Findings of the rows of a change set that the target would refuse, where the load says `on_bad_row: quarantine`;
 * undefined where it takes them all. Fails with DATA_INVALID where they are too many to be named.
 */
export async function findRejects(context: RunContext, change: Changes): Promise<Findings | undefined> {
  const { load } = change
  if (load.onBadRow !== 'quarantine') return undefined
  // Nothing of the last load's files is new or changed.
  if (change.list?.length === 0 && change.reason === undefined) return undefined
  const rejects = await rejectsOf(context, change)
  if (rejects.length === 0) return undefined
  if (rejects.length > MAX_REJECTS)
    throw new EngineError(
      'DATA_INVALID',
      `${load.to}.${load.table}: more than ${MAX_REJECTS} rows do not fit; for example: ${rejects[0]!.reason}`,
      { hint: `Nothing was loaded. Correct ${load.from}, or the table.` },
    )
  const lines = rejects.map(({ row, reason }) => `(${row}::BIGINT, ${quote(reason)})`)
  const check = quote(fitsCheck(load.table))
  const sql = `SELECT row, ${check} AS check_name, ${quote(REJECT)} AS severity, reason FROM (VALUES ${lines.join(', ')}) AS f(row, reason)`
  return { sql, category: 'DATA_INTEGRITY_ERROR' }
}

/** The rows of a change set that the target refuses. */
async function rejectsOf(context: RunContext, change: Changes): Promise<RejectedRow[]> {
  const { duck, root, run, spec, targets, workers, signal } = context
  const { load } = change
  const validator = targets.get(load.to)!.rowValidator
  if (!validator)
    throw new EngineError('CONFIG_INVALID', `${load.to}: on_bad_row: quarantine is not known there`, {
      hint: 'Leave it out: a bad row then takes the whole load back.',
    })
  const staged = stagedSql(root, change)
  const found: RejectedRow[] = []
  const conditions = validator.unsendable(load)
  if (conditions.length > 0) {
    const cases = conditions.map(({ condition, reason }) => `WHEN ${condition} THEN ${quote(reason)}`)
    const rows = await duck.rows(
      `SELECT * FROM (SELECT ${ROW} AS row, CASE ${cases.join(' ')} END AS reason FROM (${staged})) WHERE reason IS NOT NULL LIMIT ${MAX_REJECTS + 1}`,
    )
    found.push(...rows.map(({ row, reason }) => ({ row: Number(row), reason: String(reason) })))
  }
  const sendable = found.length > 0 ? ` WHERE ${ROW} NOT IN (${found.map(({ row }) => row).join(', ')})` : ''
  const names = load.columns.map(({ name }) => quoteName(name)).join(', ')
  const sent = `SELECT ${names}, ${ROW}::BIGINT AS ${REJECT_ROW} FROM (${staged})${sendable}`
  const parts = await copyParts(context, sent, ownFile(context, `fit/${load.table}/rows`))
  const rows = rowsIn(parts)
  if (rows === 0) return found
  const numbers = {
    name: REJECT_ROW,
    type: { kind: 'int', bits: 64, signed: true },
    nullable: false,
    native: '',
  } as const
  const rejects = await validator.findRejects(
    {
      loadId: `${spec.job}/${run}/${load.to}`,
      job: spec.job,
      load,
      columns: [...load.columns, numbers],
      paths: pathsOf(root, parts),
      beside: spec.loads.filter(({ to }) => to === load.to).map(other => other.table),
      offload: workers.offload,
      lanes: lanesTo(spec, load.to),
    },
    signal,
  )
  return [...found, ...rejects]
}

/** SQL of the rows that are new or changed, with their numbers as {@link ROW}. */
function stagedSql(root: string, { list, state, table, reason }: Changes): string {
  const rows = `SELECT * RENAME (file_row_number AS ${ROW}) FROM (${goodRows(root, table, true)})`
  if (list && reason === undefined)
    return `${rows} WHERE ${ROW} IN (SELECT ${ROW} FROM ${filesSql(root, list)} WHERE ${KIND} IN ('insert', 'update'))`
  return state ? `${rows} WHERE ${ROW} IN (SELECT ${ROW} FROM ${filesSql(root, state)})` : rows
}
