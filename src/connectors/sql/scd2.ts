import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { decidingColumns, updatedColumns } from '../../../engine/contracts/semantics.ts'
import { type Assignment, differing, type LoadTables, older, sameKey, staged } from './dialect.ts'

/** The first versions of a history: every staged row begins one, and none ends. */
export function firstVersionsSql(load: StagedLoad, tables: LoadTables, runAt: Date): string {
  const { target, dialect } = tables
  const names = load.columns.map(({ name }) => name)
  const into = [...names, load.scd2.validFrom, load.scd2.validTo, load.scd2.current]
  const values = [...names.map(name => staged(tables, name)), beginSql(load, tables, runAt), 'NULL', 'TRUE']
  if (load.stamp) {
    into.push(load.stamp)
    values.push(dialect.now)
  }
  return `INSERT INTO ${target} (${into.map(dialect.quote).join(', ')}) SELECT ${values.join(', ')} FROM ${tables.staging} AS _nf_s`
}

/** When a staged row's version begins, by the row itself. */
function beginSql(load: StagedLoad, tables: LoadTables, runAt: Date): string {
  const run = tables.dialect.instant(runAt, periodType(load))
  return load.newer === undefined ? run : `coalesce(${staged(tables, load.newer)}, ${run})`
}

/**
 * A history: one row a version, [from, to), the current one's end NULL. Statements run in this order: `correct`
 * (a version that begins at the very moment), `insert`, `close`; each leaves what a repeat would find right.
 *
 * A staged row begins at its `newer` value, or with the run. One whose key has ended (it was deleted) and that says
 * it is older than that end is back nevertheless: it begins with the run, so that the gap stays in the history; and
 * so does one that is newer than such a version, but says it is older than its begin. One older than the current
 * version is put between, up to where the version that it divides ended. One as old as a version is that version;
 * one whose `newer` is NULL is the latest such version where it says the same, or that one is yet to begin.
 */
export function scd2Sql(load: StagedLoad, tables: LoadTables, runAt: Date) {
  const { target, dialect } = tables
  const q = dialect.quote
  const from = q(load.scd2.validFrom)
  const to = q(load.scd2.validTo)
  const run = dialect.instant(runAt, periodType(load))
  const given = beginSql(load, tables, runAt)
  const [begins, ended, effective] = ['_nf_begins', '_nf_ended', '_nf_from'].map(q) as [
    string,
    string,
    string,
  ]

  const ofKey = `FROM ${target} AS h WHERE ${sameKey(load, tables, 'h')}`
  const [held, age] = load.newer === undefined ? [] : [`h.${q(load.newer)}`, staged(tables, load.newer)]
  const overtaken = age
    ? `(SELECT max(h.${from}) ${ofKey} AND h.${to} IS NULL AND h.${from} > ${given} AND ${older(held!, age)})`
    : 'NULL'
  const compared = decidingColumns(load)
  const latest = (which: string) => `(SELECT max(h.${from}) ${ofKey} AND ${which})`
  const ageless = `${held} IS NULL`
  const its = latest(`${ageless} AND (h.${from} > ${run} OR NOT ${differing(tables, compared, 'h')})`)
  const own = age
    ? `coalesce(CASE WHEN ${age} IS NOT NULL THEN ${latest(`${held} = ${age}`)} WHEN ${latest(ageless)} = ${its} THEN ${its} END, _nf_s.${begins})`
    : `_nf_s.${begins}`
  // The end of a key that has no current version, or the begin of one that the row follows, though it says it is before.
  const end = `coalesce((SELECT CASE WHEN count(*) = count(h.${to}) THEN max(h.${to}) END ${ofKey}), ${overtaken})`
  const known = `(SELECT _nf_s.*, ${given} AS ${begins}, ${end} AS ${ended} FROM ${tables.staging} AS _nf_s)`
  const versions = `(SELECT _nf_s.*, CASE WHEN _nf_s.${ended} IS NULL THEN ${own} WHEN _nf_s.${begins} >= _nf_s.${ended} THEN _nf_s.${begins}
    WHEN _nf_s.${ended} > ${run} THEN _nf_s.${ended} ELSE ${run} END AS ${effective} FROM ${known} AS _nf_s)`

  const names = load.columns.map(({ name }) => name)
  const stamp: Assignment[] = load.stamp ? [{ column: load.stamp, value: dialect.now }] : []
  const correct = dialect.update(
    target,
    [
      ...updatedColumns(load).map(name => ({ column: name, value: staged(tables, name) })),
      { column: load.scd2.validTo, value: `CASE WHEN _nf_s.${ended} IS NULL THEN _nf_t.${to} END` },
      { column: load.scd2.current, value: `(_nf_s.${ended} IS NOT NULL OR _nf_t.${to} IS NULL)` },
      ...stamp,
    ],
    `${sameKey(load, tables)} AND _nf_t.${from} = _nf_s.${effective}
      AND (_nf_s.${ended} IS NOT NULL OR ${differing(tables, compared)})`,
    versions,
  )

  const into = [...names, load.scd2.validFrom, load.scd2.validTo, load.scd2.current]
  const values = names.map(name => staged(tables, name))
  const next = `(SELECT min(n.${from}) FROM ${target} AS n WHERE ${sameKey(load, tables, 'n')} AND n.${from} > _nf_s.${effective})`
  const until = `CASE WHEN p.${from} IS NOT NULL THEN p.${to} ELSE ${next} END`
  const equal = `NOT ${differing(tables, compared, 'c')}`
  const insert = `INSERT INTO ${target} (${[...into, ...stamp.map(({ column }) => column)].map(q).join(', ')})
    SELECT ${[...values, `_nf_s.${effective}`, until, `${until} IS NULL`, ...stamp.map(({ value }) => value)].join(', ')}
    FROM ${versions} AS _nf_s
      LEFT JOIN ${target} AS p ON ${sameKey(load, tables, 'p')}
        AND p.${from} < _nf_s.${effective} AND (p.${to} IS NULL OR p.${to} > _nf_s.${effective})
    WHERE NOT EXISTS (SELECT 1 FROM ${target} AS c WHERE ${sameKey(load, tables, 'c')}
      AND (c.${from} = _nf_s.${effective} OR (${equal}
        AND (c.${to} IS NULL OR (c.${from} < _nf_s.${effective} AND c.${to} > _nf_s.${effective})))))`

  const follows = `(SELECT _nf_o.*, (SELECT min(n.${from}) FROM ${target} AS n WHERE ${load.key
    .map(key => `n.${q(key)} = _nf_o.${q(key)}`)
    .join(' AND ')} AND n.${from} > _nf_o.${from}) AS ${effective} FROM ${target} AS _nf_o
    WHERE EXISTS (SELECT 1 FROM ${tables.staging} AS _nf_s WHERE ${sameKey(load, tables, '_nf_o')}))`
  const same = [...load.key, load.scd2.validFrom].map(name => `_nf_t.${q(name)} = _nf_s.${q(name)}`)
  const close = dialect.update(
    target,
    [
      { column: load.scd2.validTo, value: `_nf_s.${effective}` },
      { column: load.scd2.current, value: 'FALSE' },
      ...stamp,
    ],
    `${same.join(' AND ')} AND (_nf_t.${to} IS NULL OR _nf_t.${to} > _nf_s.${effective}) AND _nf_s.${effective} IS NOT NULL`,
    follows,
  )
  return { correct, insert, close }
}
