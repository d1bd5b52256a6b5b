import { REJECTED } from '../../engine/batch/builder.ts'
import type { Category } from '../../engine/errors.ts'
import { isSensitive } from '../../engine/mask.ts'
import type { Outcome } from '../../engine/pipeline.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { counted } from '../../engine/plural.ts'
import { rowId } from '../../engine/quality/quarantine.ts'
import { withInexact } from '../../engine/quality/rowChecks.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import type { Corrected, Correction } from '../../engine/runtime/correction.ts'
import { quote, quoteName } from '../../engine/sql/duckdb.ts'
import { REJECT, REJECTS } from '../../engine/sql/words.ts'
import { filesSql } from '../../engine/staging/read.ts'
import { rejectedAsRead } from '../../engine/transform/correctExtract.ts'
import type { Transformed } from '../../engine/transform/transformed.ts'
import type { ErrorRecord, NewErrorRecord } from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'

/** Error records that one run adds at most: the quarantine's files hold every row. */
const MAX_RECORDS = 10_000

/**
 * Keeps the rows that a run rejected as error records, so that they can be corrected: one a row, however many checks
 * refused it and however many runs find it again. Gives how many there are, in all and by category, and how many were kept.
 */
export async function keepErrors(
  context: RunContext,
  metadata: Metadata,
  outcome: Outcome,
): Promise<{ rejected: number; kept: number; categories: Map<string, number> }> {
  const categories = new Map<string, number>()
  const records: NewErrorRecord[] = []
  let rejected = 0
  let kept = 0
  for (const table of outcome.tables) {
    rejected += table.rejected
    if (table.rejected === 0) continue
    for (const [category, rows] of await categoriesOf(context, table))
      categories.set(category, (categories.get(category) ?? 0) + rows)
    if (records.length >= MAX_RECORDS) continue
    const found = await recordsOf(
      context,
      table,
      keyOf(context, table, outcome),
      MAX_RECORDS - records.length,
    )
    records.push(...found.map(({ record }) => record))
    kept += found.reduce((sum, { rows }) => sum + rows, 0)
  }
  if (records.length > 0) await metadata.errors.add(records)
  await hideSensitive(context, metadata, outcome)
  return { rejected, kept, categories }
}

/**
 * Marks what the job calls sensitive in records that were kept before it did; no mark is taken away, since rows may be shown by
 * that which nobody is to see. Of a table whose columns this run does not know, all are marked but its key: any of them may
 * hold a part of the row.
 */
async function hideSensitive(
  { spec, mask }: RunContext,
  { errors }: Metadata,
  { tables, reads }: Outcome,
): Promise<void> {
  if (!mask.isNeeded) return
  const isMissing = (sensitive: string[]) => (column: string) => !isSensitive(sensitive, column)
  const lacking = (await errors.marks(spec.job)).filter(({ table_name, sensitive }) =>
    mask.columnsOf(table_name).some(isMissing(sensitive)),
  )
  for (const table of new Set(lacking.map(({ table_name }) => table_name))) {
    const wanted = mask.columnsOf(table)
    const columns = tables.find(({ name }) => name === table)?.columns.map(({ name }) => name)
    const known = columns ?? namedKey(spec, table, reads)
    for await (const page of errors.pages({ job: spec.job, table })) {
      const marked = page.flatMap(({ id, sensitive, reason, record }) => {
        if (!wanted.some(isMissing(sensitive))) return []
        const missing = new Set([...wanted, ...unnamed(record, known)].filter(isMissing(sensitive)))
        const all = [...sensitive, ...missing]
        return [{ id, sensitive: all, reason: mask.about(all, record, reason) }]
      })
      await errors.mark(marked)
    }
  }
}

/** Columns of a rejected row that its table has not: they hold a part of the row, whatever they are called. */
const unnamed = (record: Record<string, string | null>, known: string[]) =>
  Object.keys(record).filter(name => !known.includes(name))

/** A table's rejected rows by category, each row once. */
async function categoriesOf(
  { duck, root }: RunContext,
  { findings }: Transformed,
): Promise<[string, number][]> {
  const rows = await duck.rows(
    `SELECT category, count(*) AS rows FROM
       (SELECT row, min(category) AS category FROM ${filesSql(root, [{ file: findings! }])}
        WHERE ${REJECTS} GROUP BY row) GROUP BY category ORDER BY category`,
  )
  return rows.map(({ category, rows }) => [String(category), Number(rows)])
}

/** The columns that identify a table's rows; none where nobody has said so, or the table has not all of them. */
function keyOf({ spec }: RunContext, { name, columns }: Transformed, { reads }: Outcome): string[] {
  const key = namedKey(spec, name, reads)
  return key.every(column => columns.some(({ name }) => name === column)) ? key : []
}

/** The columns that are said to identify a table's rows: by the plan, else by the job. */
function namedKey({ extracts, loads }: RunContext['spec'], table: string, reads: PlannedRead[]): string[] {
  const planned = reads.find(({ extract }) => extract === table)?.key
  const extract = extracts.find(({ name }) => name === table)?.key
  const load = loads.find(({ from }) => from === table)?.key
  return [planned, extract, load].find(key => key !== undefined && key.length > 0) ?? []
}

/** SQL of a key's text from that of each of its values; NULL where one is. */
const keyText = (values: string[]) =>
  values.length === 0
    ? 'NULL'
    : values.length === 1
      ? values[0]!
      : `if(${values.map(value => `${value} IS NULL`).join(' OR ')}, NULL, to_json([${values.join(', ')}])::VARCHAR)`

const inRecord = (name: string) => `json_extract_string(record, ${quote(`$.${JSON.stringify(name)}`)})`

async function recordsOf(
  { duck, spec, run, root, mask }: RunContext,
  table: Transformed,
  key: string[],
  limit: number,
) {
  const found = filesSql(root, [{ file: table.findings! }])
  // Records are wide: those that are wanted are chosen by their hashes, and only they are gathered.
  const rows = await duck.rows(
    `SELECT ${rowId(spec.job, table.name, 'record')} AS id, any_value(category) AS category, record,
       any_value(${keyText(key.map(inRecord))}) AS row_key, count(DISTINCT row) AS rows,
       string_agg(DISTINCT check_name, ', ' ORDER BY check_name) AS checks,
       string_agg(DISTINCT reason, '; ' ORDER BY reason) AS reasons
     FROM ${found} WHERE ${REJECTS} AND hash(record) IN
       (SELECT hash(record) AS h FROM ${found} WHERE ${REJECTS} GROUP BY h ORDER BY min(row) LIMIT ${limit})
     GROUP BY record ORDER BY min(row) LIMIT ${limit}`,
  )
  const sensitive = mask.columnsOf(table.name)
  const names = table.columns.map(({ name }) => name)
  return rows.map(row => {
    const staged = JSON.parse(String(row.record)) as Record<string, string | null>
    const record = withInexact(staged)
    const others = unnamed(record, names)
    const kept: NewErrorRecord = {
      id: String(row.id),
      run,
      job: spec.job,
      table_name: table.name,
      row_key: row.row_key === null ? null : storable(String(row.row_key)),
      check_name: String(row.checks),
      severity: REJECT,
      category: String(row.category) as Category,
      code: staged[REJECTED] ? 'VALUE_INEXACT' : null,
      reason: storable(mask.about(sensitive, record, String(row.reasons))),
      sensitive: sensitive.length > 0 ? [...sensitive, ...others] : sensitive,
      record,
    }
    return { record: kept, rows: Number(row.rows) }
  })
}

// Postgres keeps no NUL in a text.
const storable = (text: string) => text.replaceAll('\0', '\\0')

/** What people have put in place of rejected rows of a table. */
export async function correctionsOf(metadata: Metadata, job: string, table: string): Promise<Correction[]> {
  const found = await metadata.errors.corrections(job, table)
  return found.map(({ id, record, correction, state }) => ({
    id,
    values: { ...record, ...correction },
    held: state === 'reprocessed',
  }))
}

/** Open records that have nothing to mend any more, since this run found their rows right. */
export async function findResolved(
  context: RunContext,
  metadata: Metadata,
  outcome: Outcome,
): Promise<string[]> {
  const resolved: string[] = []
  for (const name of new Set(outcome.tables.map(table => table.name))) {
    const open = await metadata.errors.open(context.spec.job, name)
    resolved.push(...(await judgedAgain(context, outcome, name, open)).right)
  }
  return resolved
}

/** What a run found of records that were kept before, by id. */
export interface JudgedAgain {
  /** Found right, or gone from the source. */
  right: string[]
  /** Neither right nor rejected as before: their rows were not read. */
  unread: string[]
}

/**
 * What this run found of records of a table: where it judged the table whole, those that it did not find again are right;
 * of rows that an extract's own rules rejected, and that it does not read whole, those whose key it read, and found right.
 */
async function judgedAgain(
  context: RunContext,
  outcome: Outcome,
  name: string,
  records: Pick<ErrorRecord, 'id' | 'row_key'>[],
): Promise<JudgedAgain> {
  if (records.length === 0) return { right: [], unread: [] }
  const tables = outcome.tables.filter(table => table.name === name)
  if (tables.length === 0) return { right: [], unread: records.map(({ id }) => id) }
  const again = await rejectedIn(context, name, tables)
  const gone = records.filter(({ id }) => !again.has(id))
  const read = outcome.reads.find(({ extract }) => extract === name)
  const unread = read?.base ? await findUnread(context, read, tables, outcome, gone) : new Set<string>()
  return { right: gone.flatMap(({ id }) => (unread.has(id) ? [] : [id])), unread: [...unread] }
}

/** The records of the rows that this run rejected of a table. */
async function rejectedIn(
  { duck, root, spec }: RunContext,
  name: string,
  tables: Transformed[],
): Promise<Set<string>> {
  const found = tables.flatMap(({ findings }) => (findings ? [{ file: findings }] : []))
  if (found.length === 0) return new Set()
  const rows = await duck.rows(
    `SELECT DISTINCT ${rowId(spec.job, name, 'record')} AS id FROM ${filesSql(root, found)} WHERE ${REJECTS}`,
  )
  return new Set(rows.map(({ id }) => String(id)))
}

/** Of an extract that this run did not read whole, records whose key it did not read, or not found right. */
async function findUnread(
  context: RunContext,
  read: PlannedRead,
  tables: Transformed[],
  { extracted }: Outcome,
  records: Pick<ErrorRecord, 'id' | 'row_key'>[],
): Promise<Set<string>> {
  const { duck, root } = context
  const { parts } = extracted.find(({ extract }) => extract === read.extract)!
  const ids = records.map(({ id }) => id)
  // Checks judge the rows of all nights, an extract's own rules those that a run reads.
  const isChecked = tables.some(({ parts }) => parts)
  const unread = new Set(isChecked ? await rejectedAsRead(context, read, read.base!.image, ids) : ids)
  const keyed = records.filter(({ id, row_key }) => row_key !== null && unread.has(id))
  if (parts.length === 0 || read.key.length === 0 || keyed.length === 0) return unread
  const rejected = tables[0]!.columns.length < read.columns.length ? ` WHERE ${REJECTED} IS NULL` : ''
  const key = keyText(read.key.map(name => `${quoteName(name)}::VARCHAR`))
  const wanted = keyed.map(({ id, row_key }) => `(${quote(id)}, ${quote(row_key!)})`)
  const rows = await duck.rows(
    `SELECT id FROM (VALUES ${wanted.join(', ')}) AS _nf_open(id, row_key)
     WHERE row_key IN (SELECT ${key} FROM ${filesSql(root, parts)}${rejected})`,
  )
  for (const { id } of rows) unread.delete(String(id))
  return unread
}

/** What this run found of queued records that have no correction. */
export async function queuedAgain(
  context: RunContext,
  queued: ErrorRecord[],
  outcome: Outcome,
): Promise<Map<string, JudgedAgain>> {
  const plain = Map.groupBy(
    queued.filter(({ correction }) => !correction),
    ({ table_name }) => table_name,
  )
  const found = new Map<string, JudgedAgain>()
  for (const [name, records] of plain) found.set(name, await judgedAgain(context, outcome, name, records))
  return found
}

const REJECTED_ELSEWHERE = 'a load rejects its row, or a good row has its key: correct the source'

/**
 * What became of each table's corrections. One that judges a table does not find the rows that another rejected: stale is
 * what each of them was given, and none found; where it is rejected all the same, its correction is refused.
 */
export async function correctedOf(context: RunContext, { tables }: Outcome): Promise<Map<string, Corrected>> {
  const found = new Map<string, Corrected>()
  for (const [name, all] of Map.groupBy(tables, table => table.name)) {
    const judged = all.map(({ corrected }) => corrected ?? { applied: [], refused: [], stale: [] })
    const applied = new Set(judged.flatMap(each => each.applied))
    const refused = judged.flatMap(each => each.refused).filter(({ id }) => !applied.has(id))
    const [first, ...others] = judged.map(each => new Set(each.stale))
    const stale = [...first!].filter(id => others.every(other => other.has(id)))
    const again = stale.length > 0 ? await rejectedIn(context, name, all) : new Set()
    found.set(name, {
      applied: [...applied],
      refused: [
        ...refused,
        ...stale.flatMap(id => (again.has(id) ? [{ id, reason: REJECTED_ELSEWHERE }] : [])),
      ],
      stale: stale.filter(id => !again.has(id)),
    })
  }
  return found
}

/**
 * What became of the records that were queued, once the run is loaded. Repeated, it changes nothing. What was queued otherwise
 * since a table was judged (`asOf`, ISO 8601) waits for the next run.
 */
export async function settleErrors(
  metadata: Metadata,
  { run, asOf }: { run: string; asOf: (table: string) => string },
  corrected: Map<string, Corrected>,
  queued: ErrorRecord[],
  again: Map<string, JudgedAgain>,
  note: (text: string) => void,
): Promise<void> {
  const { errors } = metadata
  for (const [name, { applied, refused, stale }] of corrected) {
    const then = asOf(name)
    await errors.moveAll({ ids: applied, asOf: then }, 'queued', 'reprocessed')
    for (const { id, reason } of refused) note(`${name}: the correction of ${id} is refused: ${reason}`)
    for (const from of ['queued', 'reprocessed'] as const) {
      await errors.moveAll({ ids: refused.map(({ id }) => id), asOf: then }, from, 'open')
      // The source changed the row or took it away: what it is now was judged by itself.
      await errors.resolve(stale, run, from, then)
    }
  }
  const right = new Set([...again.values()].flatMap(each => each.right))
  const plain = Map.groupBy(
    queued.filter(({ correction }) => !correction),
    ({ id, table_name }) => JSON.stringify([table_name, right.has(id)]),
  )
  for (const records of plain.values()) {
    const [{ id, table_name }] = records as [ErrorRecord]
    const ids = records.map(({ id }) => id)
    await errors.moveAll({ ids, asOf: asOf(table_name) }, 'queued', right.has(id) ? 'reprocessed' : 'open')
  }
  for (const [name, { unread }] of again)
    if (unread.length > 0)
      note(
        `${name}: ${counted(unread.length, 'queued record')} ${unread.length === 1 ? 'is' : 'are'} open again: no right row of the same key was read; correct the source, or reprocess with --corrections`,
      )
}
