import { quoteName } from '../sql/duckdb.ts'
import type { OrderedModel, SqlGraph, TableKey } from '../sql/model.ts'
import { usedMacros } from '../sql/order.ts'
import { HASH, rowHash } from '../sql/rowHash.ts'
import { stripped } from '../sql/text.ts'
import { GONE, imageSql, latestSql, type Night } from '../staging/image.ts'
import { seenSql } from '../types/duckType.ts'
import { type Column, columnNamed } from '../types/logical.ts'
import type { Seen } from './seen.ts'

/** Table of the session with the keys of rows that changed, as texts. */
export const CHANGED_KEYS = '_nf_changed_keys'

/** SQL of a key's text, of a staged row. */
export function keyText(columns: Column[], name: string): string {
  const column = columnNamed(columns, name)!
  return `(${seenSql(column, quoteName(column.name))})::VARCHAR`
}

/** Tables that a model reads where their rows are not divided by a key: through views and macros. */
export function wholeTables(model: OrderedModel, graph: SqlGraph): Set<string> {
  const whole = new Set<string>()
  const addAll = (tables: string[]) => {
    for (const table of tables) {
      const view = graph.models.find(({ name, inline }) => name === table && inline)
      if (view) addAll(view.reads)
      else whole.add(table)
    }
  }
  const query = graph.queries.get(model.file)
  addAll(model.reads.filter(name => graph.models.some(each => each.name === name && each.inline)))
  for (const macro of query ? usedMacros(query, graph.macros) : []) addAll(macro.reads)
  return whole
}

/**
 * SQL of the keys (`k`, texts, not NULL) of rows that a table has and had not, or has no more. Where an image is that of
 * then and some nights more, only these are looked at; else the rows of each key are compared by the sums of their hashes.
 */
export function changedKeysSql(root: string, column: string, now: Seen, then: Seen): string {
  const nights = moreNights(now, then)
  const sql = nights ? ofNights(root, column, now, then, nights) : bySums(column, now, then)
  return `SELECT DISTINCT k FROM (${sql}) WHERE k IS NOT NULL`
}

/**
 * The nights of an image behind those of an earlier one; undefined where it was not that one before, or where they change
 * every row: what the last one lacks is NULL in all of them.
 */
function moreNights(now: Seen, then: Seen): Night[] | undefined {
  if (!now.image || !then.image) return undefined
  const held = ({ columns, image }: Seen) =>
    columns.map(({ name }) => !!columnNamed(image!.image.nights.at(-1)?.columns ?? [], name)).join()
  if (held(now) !== held(then)) return undefined
  const [nights, before] = [now.image.image.nights, then.image.image.nights]
  const filesOf = ({ parts, gone, out }: Night) =>
    JSON.stringify([parts, gone, out].flat().map(part => part?.file))
  return before.every((night, index) => nights[index] && filesOf(night) === filesOf(nights[index]))
    ? nights.slice(before.length)
    : undefined
}

function ofNights(root: string, column: string, now: Seen, then: Seen, nights: Night[]): string {
  const { image, read } = now.image!
  const text = keyText(now.columns, column)
  if (read.key.length === 0) return `SELECT ${text} AS k FROM (${imageSql(root, { ...image, nights }, read)})`
  const latest = latestSql(root, image, read, nights)
  const keys = `(${read.key.map(quoteName).join(', ')})`
  return `SELECT ${text} AS k FROM (${latest}) WHERE NOT ${GONE} UNION ALL
    SELECT ${keyText(then.columns, column)} FROM (${then.sql}) WHERE ${keys} IN (SELECT ${keys} FROM (${latest}))`
}

function bySums(column: string, now: Seen, then: Seen): string {
  const [a, b] = HASH
  const sums = ({ sql, columns }: Seen) =>
    `SELECT k, count(*) AS n, sum(${a}) AS a, sum(${b}) AS b
     FROM (SELECT ${keyText(columns, column)} AS k, ${rowHash(columns, '_nf_r')} FROM (${sql}) AS _nf_r) GROUP BY k`
  return `SELECT coalesce(n.k, t.k) AS k FROM (${sums(now)}) AS n FULL JOIN (${sums(then)}) AS t ON n.k = t.k
    WHERE n.n IS DISTINCT FROM t.n OR n.a IS DISTINCT FROM t.a OR n.b IS DISTINCT FROM t.b`
}

/** SQL of a query over the rows whose key is NULL or among {@link CHANGED_KEYS}: every other row of it is as it was. */
export function changedSql(sql: string, keys: TableKey[]): string {
  const divided = keys.map(({ table, column }) => {
    const key = quoteName(column)
    return `${quoteName(table)} AS NOT MATERIALIZED (SELECT * FROM main.${quoteName(table)}
      WHERE ${key} IS NULL OR ${key}::VARCHAR IN (SELECT k FROM ${CHANGED_KEYS}))`
  })
  return `WITH ${divided.join(', ')} SELECT * FROM (${stripped(sql)}\n)`
}
