import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { decidingColumns, updatedColumns } from '../../../engine/contracts/semantics.ts'
import { older } from '../sql/dialect.ts'
import { equals, type LoadTables, matchTarget, periodLiteral, staged } from './changes.ts'
import { columnType } from './targetTypes.ts'
import { identifier } from './types.ts'

/** Columns of the staging table in which a staged row's place in its key's history is worked out. */
const ENDED = identifier('_nf_ended')
const FROM = identifier('_nf_from')
const PLACED = identifier('_nf_placed')

/** Definitions of these columns. */
export function placeColumns(load: PlannedLoad): string[] {
  const period = columnType(periodType(load))
  return [`${ENDED} ${period} NULL`, `${FROM} ${period} NULL`, `${PLACED} tinyint(1) NULL`]
}

/** The first versions of a history: every staged row begins one, and none ends. */
export function firstVersionsSql(load: StagedLoad, tables: LoadTables, runAt: Date): string {
  const { validFrom, validTo, current } = load.scd2
  const names = load.columns.map(({ name }) => name)
  const run = periodLiteral(load, runAt)
  const begins = load.newer === undefined ? run : `COALESCE(_nf_s.${identifier(load.newer)}, ${run})`
  const into = [...names, validFrom, validTo, current, ...(load.stamp === undefined ? [] : [load.stamp])]
  const values = [...names.map(name => staged(name, tables)), begins, 'NULL', 'TRUE']
  if (load.stamp !== undefined) values.push(tables.now)
  return `INSERT INTO ${tables.target} (${into.map(identifier).join(', ')}) SELECT ${values.join(', ')} FROM ${tables.staging} AS _nf_s`
}

/**
 * A history, as `connectors/sql/scd2.ts` says what it means. MySQL cannot change a table that the same statement looks
 * into, so a staged row's place is worked out in the staging table first: `ended`, then `begin`. Then, in this order,
 * `correct`, `insert`, `placed` and `close`.
 */
export function scd2Sql(load: StagedLoad, tables: LoadTables, runAt: Date) {
  const { target, staging } = tables
  const { validFrom, validTo, current } = load.scd2
  const [from, to] = [`_nf_t.${identifier(validFrom)}`, `_nf_t.${identifier(validTo)}`]
  const run = periodLiteral(load, runAt)
  const begins = load.newer === undefined ? run : `COALESCE(_nf_s.${identifier(load.newer)}, ${run})`
  const ofKey = matchTarget(load.key, tables)
  const versions = (condition: string) => `FROM ${target} AS _nf_t WHERE ${ofKey}${condition}`

  const [held, age] =
    load.newer === undefined ? [] : [`_nf_t.${identifier(load.newer)}`, staged(load.newer, tables)]
  const overtaken = age
    ? `(SELECT MAX(${from}) ${versions(` AND ${to} IS NULL AND ${from} > ${begins} AND ${older(held!, age)}`)})`
    : 'NULL'
  const differing = decidingColumns(load)
    .map(name => `NOT (${equals(name, tables)})`)
    .join(' OR ')
  const its = `MAX(CASE WHEN ${from} > ${run} OR NOT (${differing || 'FALSE'}) THEN ${from} END)`
  const own = age
    ? `COALESCE(CASE WHEN ${age} IS NULL THEN (SELECT CASE WHEN MAX(${from}) = ${its} THEN ${its} END ${versions(` AND ${held} IS NULL`)})
        ELSE (SELECT MAX(${from}) ${versions(` AND ${held} = ${age}`)}) END, ${begins})`
    : begins
  // The end of a key that has no current version, or the begin of one that the row follows, though it says it is before.
  const ended = `UPDATE ${staging} AS _nf_s SET _nf_s.${ENDED} =
    COALESCE((SELECT CASE WHEN COUNT(*) = COUNT(${to}) THEN MAX(${to}) END ${versions('')}), ${overtaken})`
  const begin = `UPDATE ${staging} AS _nf_s SET _nf_s.${FROM} = CASE
    WHEN _nf_s.${ENDED} IS NULL THEN ${own} WHEN ${begins} >= _nf_s.${ENDED} THEN ${begins}
    WHEN _nf_s.${ENDED} > ${run} THEN _nf_s.${ENDED} ELSE ${run} END`

  const names = load.columns.map(({ name }) => name)
  const stamp = load.stamp === undefined ? [] : [`_nf_t.${identifier(load.stamp)} = ${tables.now}`]
  const values = updatedColumns(load).map(name => `_nf_t.${identifier(name)} = ${staged(name, tables)}`)
  // Whichever of the two is set first: an open end stays open where the key had not ended.
  const reopened = [
    `${to} = IF(_nf_s.${ENDED} IS NULL, ${to}, NULL)`,
    `_nf_t.${identifier(current)} = (_nf_s.${ENDED} IS NOT NULL OR ${to} IS NULL)`,
  ]
  const joined = (condition: string) =>
    `UPDATE ${staging} AS _nf_s STRAIGHT_JOIN ${target} AS _nf_t ON ${ofKey} AND ${condition}`
  const correct = `${joined(`${from} = _nf_s.${FROM}`)} SET ${[...values, ...reopened, ...stamp].join(', ')}
    WHERE _nf_s.${ENDED} IS NOT NULL OR ${differing || 'FALSE'}`

  const covers = `${from} < _nf_s.${FROM} AND (${to} IS NULL OR ${to} > _nf_s.${FROM})`
  const next = `(SELECT MIN(${from}) ${versions(` AND ${from} > _nf_s.${FROM}`)})`
  const until = `IF(${from} IS NOT NULL, ${to}, ${next})`
  const into = [...names, validFrom, validTo, current, ...(load.stamp === undefined ? [] : [load.stamp])]
  const selected = names.map(name => staged(name, tables))
  selected.push(`_nf_s.${FROM}`, until, `${until} IS NULL`, ...(load.stamp === undefined ? [] : [tables.now]))
  const known = `${from} = _nf_s.${FROM} OR (NOT (${differing || 'FALSE'}) AND (${to} IS NULL OR (${covers})))`
  const insert = `INSERT INTO ${target} (${into.map(identifier).join(', ')}) SELECT ${selected.join(', ')}
    FROM ${staging} AS _nf_s LEFT JOIN ${target} AS _nf_t ON ${ofKey} AND ${covers}
    WHERE NOT EXISTS (SELECT 1 ${versions(` AND (${known})`)})`

  const placed = `UPDATE ${staging} AS _nf_s SET _nf_s.${PLACED} = EXISTS (SELECT 1 ${versions(` AND ${from} = _nf_s.${FROM}`)})`
  const closed = [`${to} = _nf_s.${FROM}`, `_nf_t.${identifier(current)} = FALSE`, ...stamp]
  const close = `${joined(covers)} SET ${closed.join(', ')} WHERE _nf_s.${PLACED}`
  return { ended, begin, correct, insert, placed, close }
}
