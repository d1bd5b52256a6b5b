import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { CHANGE, type ChangeCounts, HISTORY, LOG } from '../contracts/changes.ts'
import type { Part } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import { counted } from '../plural.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { imageSql } from '../staging/image.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'

/** What the changes of a table make of it. */
export interface ChangedRows {
  /** Last state of each key that is there; with a history, every change. */
  parts: Part[]
  /** Keys that are there no more. */
  gone: Part[]
  /** Number of the last change. */
  number: number
  /** Of a history: the greatest time of a change. */
  at?: string
}

const OWN: readonly string[] = Object.values(HISTORY)

/** The columns of a read that are the source's. */
export function tableColumns({ columns, changes }: PlannedRead): Column[] {
  return changes?.history ? columns.filter(({ name }) => !OWN.includes(name)) : columns
}

/** The key of a read as the source has it. */
export const tableKey = ({ key, changes }: PlannedRead) =>
  changes?.history ? key.filter(name => !OWN.includes(name)) : key

/** What staged changes, {@link changeColumns}, make of a table; the files of them are removed. */
export async function compactChanges(
  context: RunContext,
  read: PlannedRead,
  staged: Part[],
  counts: ChangeCounts,
): Promise<ChangedRows> {
  const { duck, root } = context
  const { number: before, at: since } = read.cursor as LogCursor
  const known = since !== undefined && { at: since }
  if (staged.length === 0) return { parts: [], gone: [], number: before, ...known }
  const whole = await withUnchanged(context, read, staged)
  const { history } = read.changes!
  const rows = history ? inOrder(filesSql(root, whole), since) : filesSql(root, whole)
  const [last] = await duck.rows(
    `SELECT max(${LOG.number}) AS n, max(${LOG.at})::VARCHAR AS at, max(${LOG.number}) FILTER (${LOG.kind} = ${CHANGE.truncate}) AS emptied FROM ${rows}`,
  )
  const number = Number(last!.n)
  const emptied = last!.emptied === null ? undefined : Number(last!.emptied)
  const made = history
    ? { parts: await historyOf(context, read, rows, counts.truncates > 0), gone: [] }
    : await lastStates(context, read, rows, emptied)
  for (const file of new Set([...staged, ...whole].map(part => part.file))) rmSync(join(root, file))
  return { ...made, number, ...(history && { at: String(last!.at) }) }
}

/** The last state of each key, and the keys that are gone. `emptied`: number of the last truncate. */
async function lastStates(
  context: RunContext,
  read: PlannedRead,
  changes: string,
  emptied: number | undefined,
): Promise<Omit<ChangedRows, 'number'>> {
  const { root } = context
  const { key, columns, base, extract } = read
  const keys = key.map(quoteName).join(', ')
  const present = key.map(name => `${quoteName(name)} IS NOT NULL`).join(' AND ')
  const since = emptied === undefined ? '' : ` AND ${LOG.number} > ${emptied}`
  const live = `SELECT * FROM ${changes} WHERE ${LOG.kind} <> ${CHANGE.truncate}${since}`
  // A change whose key no type holds is nobody's last state: it goes to the quarantine.
  const latest = `SELECT * FROM (${live}) WHERE NOT (${present}) OR ${LOG.number} IN (
    SELECT max(${LOG.number}) FROM (${live}) WHERE ${present} GROUP BY ${keys})`
  const list = columns.map(({ name }) => quoteName(name)).join(', ')
  const parts = await copyParts(
    context,
    `SELECT ${list} FROM (${latest}) WHERE ${LOG.kind} <> ${CHANGE.delete}`,
    ownFile(context, `raw/${extract}/rows`),
  )
  const deleted = `SELECT ${keys} FROM (${latest}) WHERE ${LOG.kind} = ${CHANGE.delete} AND ${present}`
  const earlier = `SELECT ${keys} FROM (${imageSql(root, base!.image, read)}) WHERE (${keys}) NOT IN (SELECT (${keys}) FROM (${latest}) WHERE ${present})`
  const gone = await copyFile(
    context,
    emptied === undefined ? deleted : `${deleted} UNION ALL ${earlier}`,
    ownFile(context, `raw/${extract}.gone/keys`, '.parquet'),
  )
  return { parts: parts.filter(({ rows }) => rows > 0), gone: gone.rows > 0 ? [gone] : [] }
}

/** Changes at times that grow with them: what a log has first is committed first, whatever the clock said. */
function inOrder(rows: string, since: string | undefined): string {
  const latest = `max(${LOG.at}) OVER (ORDER BY ${LOG.number} ROWS UNBOUNDED PRECEDING)`
  const at = since === undefined ? latest : `greatest(${latest}, TIMESTAMPTZ ${quote(since)})`
  return `(SELECT * REPLACE (${at} AS ${LOG.at}) FROM ${rows})`
}

/** Every change as a row; a truncate as the delete of every row that was there. */
async function historyOf(
  context: RunContext,
  read: PlannedRead,
  rows: string,
  truncated: boolean,
): Promise<Part[]> {
  const key = tableKey(read)
  const kind = `CASE ${LOG.kind} WHEN ${CHANGE.insert} THEN 'insert' WHEN ${CHANGE.delete} THEN 'delete' ELSE 'update' END`
  const changes = `SELECT ${withOwn(read, { kind, number: LOG.number, at: LOG.at }, quoteName)}
    FROM ${rows} WHERE ${LOG.kind} <> ${CHANGE.truncate}`
  const keys = key.map(quoteName).join(', ')
  const none = (name: string) => {
    const { type } = columnNamed(read.columns, name)!
    return key.includes(name) ? quoteName(name) : `NULL::${typeName(type)} AS ${quoteName(name)}`
  }
  const ofKey = key.map(name => `k.${quoteName(name)}`).join(', ')
  // There when it was emptied is each key whose last change before is no delete and came after the emptying before.
  const emptied = `WITH emptied AS (
      SELECT ${LOG.number} AS n, ${LOG.at} AS at, lag(${LOG.number}) OVER (ORDER BY ${LOG.number}) AS earlier
      FROM ${rows} WHERE ${LOG.kind} = ${CHANGE.truncate}),
    known AS (
      SELECT ${keys}, ${HISTORY.number} AS _nf_n, ${HISTORY.kind} = 'delete' AS _nf_gone FROM (${imageSql(context.root, read.base!.image, read)})
      UNION ALL SELECT ${keys}, ${LOG.number}, ${LOG.kind} = ${CHANGE.delete} FROM ${rows} WHERE ${LOG.kind} <> ${CHANGE.truncate}),
    last AS (
      SELECT e.n AS _nf_number, any_value(e.at) AS _nf_at, any_value(e.earlier) AS _nf_earlier,
        max(k._nf_n) AS _nf_last, arg_max(k._nf_gone, k._nf_n) AS _nf_gone, ${ofKey}
      FROM emptied AS e JOIN known AS k ON k._nf_n < e.n GROUP BY e.n, ${ofKey})
    SELECT ${withOwn(read, { kind: "'delete'", number: '_nf_number', at: '_nf_at' }, none)} FROM last
    WHERE NOT _nf_gone AND (_nf_earlier IS NULL OR _nf_last > _nf_earlier)`
  const all = truncated ? `${changes} UNION ALL BY NAME (${emptied})` : changes
  const parts = await copyParts(
    context,
    `SELECT * FROM (${all}) ORDER BY ${HISTORY.number}`,
    ownFile(context, `raw/${read.extract}/rows`),
  )
  return parts.filter(part => part.rows > 0)
}

/** SQL of a history's columns: those of the change as given, the table's by `other`. */
function withOwn(
  { columns }: PlannedRead,
  own: Record<keyof typeof HISTORY, string>,
  other: (name: string) => string,
): string {
  const given = new Map<string, string>(
    (Object.keys(HISTORY) as (keyof typeof HISTORY)[]).map(what => [
      HISTORY[what],
      `${own[what]} AS ${HISTORY[what]}`,
    ]),
  )
  return columns.map(({ name }) => given.get(name) ?? other(name)).join(', ')
}

/** Rows of a snapshot as a history has them: the first change of each. */
export async function snapshotHistory(
  context: RunContext,
  read: PlannedRead,
  parts: Part[],
): Promise<Part[]> {
  const { root, runAt } = context
  if (parts.length === 0) return []
  const at = `TIMESTAMPTZ ${quote(runAt.toISOString())}`
  const own = { kind: "'snapshot'", number: `${read.changes!.number}::BIGINT`, at }
  const made = await copyParts(
    context,
    `SELECT ${withOwn(read, own, quoteName)} FROM ${filesSql(root, parts)}`,
    ownFile(context, `raw/${read.extract}/rows`),
  )
  for (const { file } of parts) rmSync(join(root, file))
  return made
}

const HELD = '_nf_held'

/**
 * The changes with every value that the log left out, since it did not change: from the change before that of its key,
 * or from the image. Gives the same parts where nothing was left out.
 */
async function withUnchanged(context: RunContext, read: PlannedRead, staged: Part[]): Promise<Part[]> {
  const { duck, root } = context
  const all = filesSql(root, staged)
  const found = await duck.rows(
    `SELECT DISTINCT unnest(from_json(${LOG.same}, '["VARCHAR"]')) AS name FROM ${all} WHERE ${LOG.same} IS NOT NULL`,
  )
  if (found.length === 0) return staged
  const key = tableKey(read)
  const image = historyImage(root, read)
  let rows = `SELECT * FROM ${all}`
  for (const { name } of found) {
    const column = quoteName(String(name))
    const lacks = `(${LOG.same} IS NOT NULL AND list_contains(from_json(${LOG.same}, '["VARCHAR"]'), ${quote(String(name))}))`
    const slim = `SELECT ${key.map((part, index) => `${quoteName(part)} AS k${index}`).join(', ')}, ${LOG.number} AS n, ${LOG.kind} AS kind, ${lacks} AS lacks, ${column} AS v FROM ${all}`
    const folder = `raw/${read.extract}/unchanged/${columnNumber(read, String(name))}`
    const links = await linksOf(context, slim, key, folder)
    const ks = key.map((_, index) => `k${index}`)
    // A row may be there twice where views of several positions were read: what no change told is the same in all.
    const values = `SELECT l.n, CASE WHEN l.holder IS NOT NULL THEN h.v ELSE i.${column} END AS v,
        l.holder IS NULL AND i._nf_there IS NULL AS lost
      FROM ${filesSql(root, [links])} AS l
      LEFT JOIN (SELECT n, v FROM (${slim})) AS h ON h.n = l.holder
      LEFT JOIN (SELECT *, true AS _nf_there FROM (${image})) AS i
        ON l.holder IS NULL AND ${ks.map((k, index) => `i.${quoteName(key[index]!)} = l.${k}`).join(' AND ')}
      QUALIFY row_number() OVER (PARTITION BY l.n) = 1`
    const part = await copyFile(context, values, ownFile(context, `${folder}/values`, '.parquet'))
    // What a later change of the row told, nobody misses but a history.
    const last = `n IN (SELECT max(n) FROM (${slim}) GROUP BY ${ks.join(', ')})`
    const [missed] = await duck.rows(
      `SELECT count(*) AS n FROM ${filesSql(root, [part])} WHERE lost${read.changes!.history ? '' : ` AND ${last}`}`,
    )
    if (Number(missed!.n) > 0)
      throw new EngineError(
        'LOG_LOST',
        `${read.where}: the log leaves out ${String(name)} of ${counted(Number(missed!.n), 'changed row')}, since it did not change, and the rows before are not known`,
        { hint: 'Read the table anew: nightfreight run JOB --full-refresh.' },
      )
    rows = `SELECT r.* REPLACE (CASE WHEN ${HELD}.n IS NOT NULL THEN ${HELD}.v ELSE r.${column} END AS ${column})
      FROM (${rows}) AS r LEFT JOIN ${filesSql(root, [part])} AS ${HELD} ON ${HELD}.n = r.${LOG.number}`
  }
  return copyParts(context, rows, ownFile(context, `raw/${read.extract}/resolved`))
}

const columnNumber = ({ columns }: PlannedRead, name: string) =>
  columns.findIndex(column => column.name === name)

/** The latest state of each key, as the image has it before this run. */
function historyImage(root: string, read: PlannedRead): string {
  // A column that is new is in no night before.
  const rows = imageSql(root, { ...read.base!.image, columns: read.columns }, read)
  if (!read.changes!.history) return rows
  const key = tableKey(read).map(quoteName).join(', ')
  return `SELECT * FROM (${rows}) QUALIFY row_number() OVER (PARTITION BY ${key} ORDER BY ${HISTORY.number} DESC) = 1`
}

/**
 * For each change that lacks a value, the number of the change that holds it (`holder`); NULL where that is the image, in
 * the row of the key `k0`, `k1` …. `slim`: k0 …, n, kind, lacks. Within a key the holder is the last change before that lacks
 * nothing; one that moved goes on where it came from: at the delete before it.
 */
async function linksOf(context: RunContext, slim: string, key: string[], folder: string): Promise<Part> {
  const { duck, root } = context
  const ks = key.map((_, index) => `k${index}`)
  const by = ks.join(', ')
  // `stop`: a change that holds the value, or one that moved here and lacks it.
  const steps = `SELECT ${by}, n, kind, lacks,
      last_value(CASE WHEN NOT lacks OR kind = ${CHANGE.moved} THEN n END IGNORE NULLS) OVER (PARTITION BY ${by} ORDER BY n) AS stop
    FROM (${slim}) WHERE kind <> ${CHANGE.delete}`
  const known = await copyFile(context, steps, ownFile(context, `${folder}/steps`, '.parquet'))
  const step = filesSql(root, [known])
  const all = `(${slim})`
  let links = await copyFile(
    context,
    `SELECT w.n, ${ks.map(k => `w.${k}`).join(', ')}, w.stop AS holder, s.kind = ${CHANGE.moved} AND s.lacks AS open
     FROM ${step} AS w LEFT JOIN ${step} AS s ON s.n = w.stop WHERE w.lacks`,
    ownFile(context, `${folder}/links-0`, '.parquet'),
  )
  for (let round = 1; ; round++) {
    const now = filesSql(root, [links])
    const [left] = await duck.rows(`SELECT count(*) AS n FROM ${now} WHERE open`)
    if (Number(left!.n) === 0) return links
    // Where it moved from: the key of the delete before it, and what holds the value there.
    const from = ks.map(k => `d.${k}`).join(', ')
    const next = `SELECT l.n, ${ks.map(k => `l.${k}`).join(', ')}, l.holder, false AS open FROM ${now} AS l WHERE NOT coalesce(l.open, false)
      UNION ALL
      SELECT o.n, ${ks.map(k => `o.${k}`).join(', ')}, s.stop AS holder, coalesce(t.kind = ${CHANGE.moved} AND t.lacks, false) AS open
      FROM (SELECT l.n, ${from}, l.holder FROM ${now} AS l JOIN ${all} AS d ON d.n = l.holder - 1 WHERE l.open) AS o
      ASOF LEFT JOIN ${step} AS s ON ${ks.map(k => `s.${k} = o.${k}`).join(' AND ')} AND s.n < o.holder
      LEFT JOIN ${step} AS t ON t.n = s.stop`
    links = await copyFile(context, next, ownFile(context, `${folder}/links-${round}`, '.parquet'))
  }
}
