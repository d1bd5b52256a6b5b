import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { periodType } from '../../../engine/contracts/ownColumns.ts'
import { decidingColumns, goneRows } from '../../../engine/contracts/semantics.ts'
import { quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, isNamed, typeName } from '../../../engine/types/logical.ts'
import { duckdbDiffers, older } from '../sql/dialect.ts'
import { ACT, type ChangeSources } from './changes.ts'
import { FILE } from './files.ts'

/**
 * SQL of the versions after a load with mode scd2, as {@link changesSql} gives the rows of other modes; `connectors/sql/scd2.ts`
 * says what a history means. Of what becomes of a row: `insert` is a new version, `update` one that begins at the very
 * moment and takes the staged values, `mark` the end of a key that is gone, `close` the end of a version that another
 * one follows now.
 */
export function historySql(
  load: StagedLoad,
  { table, staged, keys, columns, now }: ChangeSources,
  runAt: Date,
): string {
  const { validFrom, validTo, current } = load.scd2
  const period = typeName(periodType(load))
  const run = `CAST(TIMESTAMPTZ ${quote(runAt.toISOString())} AS ${period})`
  const given = load.newer === undefined ? run : `coalesce(s.${quoteName(load.newer)}, ${run})`
  const [from, to] = [`t.${quoteName(validFrom)}`, `t.${quoteName(validTo)}`]
  const key = load.key.map(quoteName)
  const on = (left: string, right: string) =>
    key.map(name => `${left}.${name} = ${right}.${name}`).join(' AND ')
  const covers = `(${from} < v._nf_from AND (${to} IS NULL OR ${to} > v._nf_from))`
  const differingFrom = (row: string) =>
    decidingColumns(load)
      .map(name =>
        duckdbDiffers(columnNamed(columns, name)!.type, `t.${quoteName(name)}`, `${row}.${quoteName(name)}`),
      )
      .join(' OR ') || 'false'
  const differing = differingFrom('v')
  const named = keys ? 'k._nf_k IS NOT NULL' : 'false'
  const naming = keys
    ? `LEFT JOIN (SELECT DISTINCT *, true AS _nf_k FROM (${keys})) AS k ON ${on('t', 'k')}`
    : ''
  const gone = { none: 'false', named, unstaged: `NOT (${named})`, inPartitions: 'false' }[goneRows(load)]
  const act = `CASE WHEN f._nf_new IS NULL THEN CASE WHEN ${to} IS NULL AND ${gone} THEN 'mark' ELSE 'keep' END
    WHEN ${from} = v._nf_from AND (v._nf_ended IS NOT NULL OR ${differing}) THEN 'update'
    WHEN f._nf_new AND ${covers} THEN 'close' ELSE 'keep' END`
  const stamped = (value: string) =>
    `CASE WHEN ${ACT} = 'keep' THEN ${value} ELSE ${quote(now)}::TIMESTAMPTZ END`
  const own = ({ name }: Column) => {
    const value = `t.${quoteName(name)}`
    if (isNamed(name, load.stamp)) return stamped(value)
    if (isNamed(name, validTo))
      return `CASE ${ACT} WHEN 'mark' THEN greatest(${from}, ${run}) WHEN 'close' THEN v._nf_from
        WHEN 'update' THEN CASE WHEN v._nf_ended IS NULL THEN ${to} END ELSE ${to} END`
    if (isNamed(name, current))
      return `CASE ${ACT} WHEN 'mark' THEN false WHEN 'close' THEN false
        WHEN 'update' THEN v._nf_ended IS NOT NULL OR ${to} IS NULL ELSE ${value} END`
    const taken = columnNamed(load.columns, name) && !load.key.some(column => isNamed(name, column))
    return taken ? `CASE WHEN ${ACT} = 'update' THEN v.${quoteName(name)} ELSE ${value} END` : value
  }
  const fresh = ({ name, type }: Column) => {
    if (isNamed(name, validFrom)) return 'v._nf_from'
    if (isNamed(name, validTo)) return 'f._nf_until'
    if (isNamed(name, current)) return 'f._nf_until IS NULL'
    if (isNamed(name, load.stamp)) return `${quote(now)}::TIMESTAMPTZ`
    return columnNamed(load.columns, name) ? `v.${quoteName(name)}` : `NULL::${typeName(type)}`
  }
  const [held, age] =
    load.newer === undefined ? [] : [`t.${quoteName(load.newer)}`, `s.${quoteName(load.newer)}`]
  const overtaken = age ? `${to} IS NULL AND ${from} > s._nf_given AND ${older(held!, age)}` : 'false'
  const asOld = age ? `${held} IS NOT DISTINCT FROM ${age}` : 'false'
  const its = age
    ? `${asOld} AND (${age} IS NOT NULL OR ${from} > ${run} OR NOT (${differingFrom('s')}))`
    : 'false'
  const list = (value: (column: Column) => string) =>
    columns.map(column => `CAST(${value(column)} AS ${typeName(column.type)}) AS ${quoteName(column.name)}`)
  // t: the table's versions; s: what is staged; e: what its keys' versions say of its begin; v: when it begins; f: whether
  // that makes a version, and until when.
  return `WITH t AS (${table}),
    s AS (SELECT s.*, ${given} AS _nf_given FROM (${staged}) AS s),
    e AS (SELECT ${key.map(name => `s.${name}`).join(', ')},
        CASE WHEN count(*) = count(${to}) THEN max(${to}) ELSE max(${from}) FILTER (${overtaken}) END AS _nf_ended,
        CASE WHEN max(${from}) FILTER (${asOld}) = max(${from}) FILTER (${its}) THEN max(${from}) FILTER (${its}) END AS _nf_own
      FROM s JOIN t ON ${on('t', 's')} GROUP BY ALL),
    v AS (SELECT s.*, e._nf_ended, CASE WHEN _nf_ended IS NULL THEN coalesce(_nf_own, _nf_given)
        WHEN _nf_given >= _nf_ended THEN _nf_given ELSE greatest(_nf_ended, ${run}) END AS _nf_from
      FROM s LEFT JOIN e ON ${on('s', 'e')}),
    f AS (SELECT ${key.map(name => `v.${name}`).join(', ')},
        NOT coalesce(bool_or(${from} = v._nf_from OR (NOT (${differing}) AND (${to} IS NULL OR ${covers}))) FILTER (${from} IS NOT NULL), false) AS _nf_new,
        CASE WHEN bool_or(${covers}) THEN max(${to}) FILTER (${covers}) ELSE min(${from}) FILTER (${from} > v._nf_from) END AS _nf_until
      FROM v LEFT JOIN t ON ${on('t', 'v')} GROUP BY ALL)
    SELECT t.${FILE}, ${act} AS ${ACT}, ${list(own).join(', ')}
      FROM t LEFT JOIN v ON ${on('t', 'v')} LEFT JOIN f ON ${on('t', 'f')} ${naming}
    UNION ALL SELECT NULL, 'insert', ${list(fresh).join(', ')} FROM v JOIN f ON ${on('v', 'f')} WHERE f._nf_new`
}
