import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import { HISTORY } from '../contracts/changes.ts'
import type { Part } from '../contracts/staging.ts'
import { ownValue } from '../ownValue.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { HASH, rowHash } from '../sql/rowHash.ts'
import { imageSql, withNight } from '../staging/image.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { rowsIn } from '../staging/store.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'
import { tableColumns, tableKey } from './changes.ts'
import type { Extracted } from './extracted.ts'
import { type Reconciled, reconciledText } from './reconciled.ts'

/** What became of a row whose log missed it. */
const MISSED = '_nf_missed'
/** Keys that people are shown of a table. */
const SHOWN = 5

/**
 * Compares what a log says of a table with all of its rows, read at the same position: keys and hashes. What the log missed is
 * told, and takes its place in the night; of a history, as changes behind those of the log.
 */
export async function reconcile(
  context: RunContext,
  read: PlannedRead,
  night: Extracted,
  whole: Extracted,
): Promise<Extracted> {
  const { root, progress } = context
  const columns = tableColumns(read)
  const key = tableKey(read)
  const there = whole.parts.length > 0 ? filesSql(root, whole.parts) : none(columns)
  const compared = columnNamed(columns, REJECTED)
    ? withoutKnownRejects(root, read, key, night, there)
    : { there, expected: expected(root, read, key, night) }
  const missed = await differing(context, read, key, columns, compared.expected, compared.there)
  const reconciled = await countsOf(context, read, key, missed, whole.rows)
  progress.note(`${read.where}: ${reconciledText(reconciled)}`)
  const repaired =
    missed.rows === 0
      ? night
      : read.changes!.history
        ? await withChanges(context, read, night, there, missed)
        : await withStates(context, read, night, there, missed)
  for (const { file } of [...whole.parts, missed]) rmSync(join(root, file))
  const note = [night.note, reconciledText(reconciled)].filter(Boolean).join('; ')
  // The next one is due by this.
  const cursor = { ...(repaired.cursor as LogCursor), whole: context.runAt.toISOString() }
  return { ...repaired, cursor, reconciled, note }
}

const none = (columns: Column[]) =>
  `(SELECT ${columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`).join(', ')} LIMIT 0)`

/**
 * Both sides of a comparison without the rows that a type does not hold, where a night has told so: the table keeps what was
 * loaded of them last, and they are in the quarantine. One that no night has told is another row than the log says.
 */
function withoutKnownRejects(
  root: string,
  read: PlannedRead,
  key: string[],
  night: Extracted,
  there: string,
) {
  const names = key.map(quoteName)
  const list = names.join(', ')
  const types = key.map(name => `${quoteName(name)}::${typeName(columnNamed(read.columns, name)!.type)}`)
  const told = [...read.base!.image.nights, { ...night, columns: read.columns }]
    .filter(({ parts, columns }) => parts.length > 0 && columnNamed(columns, REJECTED))
    .map(
      ({ parts }) =>
        `SELECT ${types.map((value, at) => `${value} AS ${names[at]}`).join(', ')}, ${REJECTED}
         FROM ${filesSql(root, parts)} WHERE ${REJECTED} IS NOT NULL`,
    )
  const known =
    told.length > 0
      ? `SELECT ${list} FROM ${there} AS r SEMI JOIN (${told.join(' UNION ALL ')}) AS t USING (${list}, ${REJECTED})`
      : `SELECT ${list} FROM ${there} LIMIT 0`
  const compared = (rows: string) => `(SELECT * FROM ${rows} AS r ANTI JOIN (${known}) AS k USING (${list}))`
  const named = names.map(name => `${name} IS NOT NULL`).join(' AND ')
  return {
    there: compared(`(SELECT * FROM ${there} WHERE ${REJECTED} IS NULL OR (${named}))`),
    expected: compared(`(SELECT *, NULL::VARCHAR AS ${REJECTED} FROM ${expected(root, read, key, night)})`),
  }
}

/** The rows that there are by the log. */
function expected(root: string, read: PlannedRead, key: string[], { parts, gone }: Extracted): string {
  const seen = [...read.columns, ...read.absent]
  const own = { run: '', columns: read.columns, parts, ...(gone && { gone }) }
  const rows = imageSql(root, withNight(read.base!.image, seen, own), read)
  if (!read.changes!.history) return `(${rows})`
  const keys = key.map(quoteName).join(', ')
  return `(SELECT * FROM (${rows}) QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY ${HISTORY.number} DESC) = 1 AND ${HISTORY.kind} <> 'delete')`
}

/** Keys of the rows that are others than the log says, with what they are: see {@link MISSED}. */
function differing(
  context: RunContext,
  { extract }: PlannedRead,
  key: string[],
  columns: Column[],
  expected: string,
  there: string,
): Promise<Part> {
  const keys = key.map(name => `coalesce(n.${quoteName(name)}, e.${quoteName(name)}) AS ${quoteName(name)}`)
  const list = key.map(name => `r.${quoteName(name)}`).join(', ')
  const hashed = (rows: string) => `SELECT ${list}, ${rowHash(columns, 'r')} FROM ${rows} AS r`
  return copyFile(
    context,
    `SELECT ${keys.join(', ')}, CASE WHEN e.${HASH[0]} IS NULL THEN 'insert' WHEN n.${HASH[0]} IS NULL THEN 'delete' ELSE 'update' END AS ${MISSED}
     FROM (${hashed(there)}) AS n FULL JOIN (${hashed(expected)}) AS e ON ${key.map(name => `n.${quoteName(name)} = e.${quoteName(name)}`).join(' AND ')}
     WHERE ${HASH.map(half => `n.${half} IS DISTINCT FROM e.${half}`).join(' OR ')}`,
    ownFile(context, `raw/${extract}.missed/keys`, '.parquet'),
  )
}

async function countsOf(
  { duck, root, mask }: RunContext,
  { extract }: PlannedRead,
  key: string[],
  missed: Part,
  rows: number,
): Promise<Reconciled> {
  const found = filesSql(root, [missed])
  const counts = await duck.rows(`SELECT ${MISSED} AS what, count(*) AS n FROM ${found} GROUP BY ${MISSED}`)
  const of = (what: string) => Number(counts.find(row => row.what === what)?.n ?? 0)
  const texts = key.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')
  const some = await duck.rows(
    `SELECT ${texts} FROM (SELECT * FROM ${found} ORDER BY ${key.map(quoteName).join(', ')} LIMIT ${SHOWN})`,
  )
  const keys = some.map(row => {
    const shown = mask.record(mask.columnsOf(extract), row as Record<string, string | null>)
    return key.map(name => `${name} ${shown[name]}`).join(', ')
  })
  return { rows, inserts: of('insert'), updates: of('update'), deletes: of('delete'), keys }
}

/** The night with the last state of each key that the log missed. */
async function withStates(
  context: RunContext,
  { extract, columns, key }: PlannedRead,
  night: Extracted,
  there: string,
  missed: Part,
): Promise<Extracted> {
  const { root } = context
  const keys = key.map(quoteName).join(', ')
  const list = columns.map(({ name }) => quoteName(name)).join(', ')
  const found = filesSql(root, [missed])
  const without = (parts: Part[], what: string) =>
    parts.length > 0
      ? [`SELECT ${what} FROM ${filesSql(root, parts)} AS r ANTI JOIN ${found} AS m USING (${keys})`]
      : []
  const are = `SELECT ${list} FROM ${there} AS r SEMI JOIN ${found} AS m USING (${keys})`
  const gone = `SELECT ${keys} FROM ${found} WHERE ${MISSED} = 'delete'`
  const parts = await copyParts(
    context,
    [...without(night.parts, list), are].join(' UNION ALL '),
    ownFile(context, `raw/${extract}.missed/rows`),
  )
  const left = await copyFile(
    context,
    [...without(night.gone ?? [], keys), gone].join(' UNION ALL '),
    ownFile(context, `raw/${extract}.missed/gone`, '.parquet'),
  )
  for (const { file } of [...night.parts, ...(night.gone ?? [])]) rmSync(join(root, file))
  const { gone: _, ...rest } = night
  return {
    ...rest,
    parts: parts.filter(({ rows }) => rows > 0),
    rows: rowsIn(parts),
    ...(left.rows > 0 && { gone: [left] }),
  }
}

/** The night with a change for each key that the log missed, numbered behind those of the log. */
async function withChanges(
  context: RunContext,
  read: PlannedRead,
  night: Extracted,
  there: string,
  missed: Part,
): Promise<Extracted> {
  const { duck, root, runAt } = context
  const { extract, columns } = read
  const key = tableKey(read)
  const keys = key.map(quoteName)
  const cursor = night.cursor as LogCursor
  // Times never go back: neither behind those of the log, nor in the changes of the next night.
  const times = [runAt.toISOString(), ...(cursor.at === undefined ? [] : [cursor.at])]
  const [latest] = await duck.rows(
    `SELECT greatest(${times.map(time => `TIMESTAMPTZ ${quote(time)}`).join(', ')})::VARCHAR AS at`,
  )
  const at = String(latest!.at)
  const own: Record<string, string> = {
    [HISTORY.kind]: `m.${MISSED}`,
    [HISTORY.number]: `(${cursor.number} + row_number() OVER (ORDER BY ${keys.map(name => `m.${name}`).join(', ')}))::BIGINT`,
    [HISTORY.at]: `TIMESTAMPTZ ${quote(at)}`,
  }
  const list = columns.map(({ name }) => {
    const value = ownValue(own, name) ?? `${key.includes(name) ? 'm' : 't'}.${quoteName(name)}`
    return `${value} AS ${quoteName(name)}`
  })
  const made = await copyParts(
    context,
    `SELECT ${list.join(', ')} FROM ${filesSql(root, [missed])} AS m LEFT JOIN ${there} AS t ON ${keys.map(name => `m.${name} = t.${name}`).join(' AND ')}`,
    ownFile(context, `raw/${extract}.missed/rows`),
  )
  const parts = [...night.parts, ...made]
  return {
    ...night,
    parts,
    rows: rowsIn(parts),
    cursor: { ...cursor, number: cursor.number + missed.rows, at },
  }
}
