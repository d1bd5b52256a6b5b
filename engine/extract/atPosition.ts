import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ChangeCounts } from '../contracts/changes.ts'
import type { LogPosition } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import { ownValue } from '../ownValue.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { rowsIn } from '../staging/store.ts'
import { type ChangedRows, compactChanges, snapshotHistory } from './changes.ts'
import type { Extracted } from './extracted.ts'
import { passLog, storedNow, toldAnew } from './readLog.ts'

/** A table that was read whole. */
export interface TableRead {
  found: Extracted
  /** Position of the first view that rows are of, where a reader before was killed: the others are of later ones. */
  earlier?: LogPosition
}

/** A table whose rows of earlier views the log cannot mend: it must be read in one. */
export class Unmended extends Error {
  readonly read: PlannedRead

  constructor(read: PlannedRead, cause: EngineError) {
    super(cause.message)
    this.read = read
  }
}

/**
 * Tables that were read whole, as the log has them at the position of the view that was read last. Rows of earlier views are
 * mended by the log from the first of them on: who changed since is told there, in whichever view he was read, or in none. Fails with
 * {@link Unmended} where it is not.
 */
export async function atPosition(
  context: RunContext,
  connection: string,
  reads: PlannedRead[],
  tables: TableRead[],
  position: LogPosition,
): Promise<Extracted[]> {
  const mended = reads.map((read, index) => ({ read, index, ...tables[index]! })).filter(isMended)
  const passed = mended.length > 0 ? await pass(context, connection, mended, position) : undefined
  const results: Extracted[] = []
  for (const [index, read] of reads.entries()) {
    const { found } = tables[index]!
    if (!read.changes) {
      results.push(found)
      continue
    }
    const { history, number, stored } = read.changes
    const whole = context.runAt.toISOString()
    const own = { position, number, whole, ...(stored && { stored }) } satisfies LogCursor
    const of = mended.findIndex(each => each.index === index)
    if (of < 0) {
      const isFirst = history && !read.base
      const parts = isFirst ? await snapshotHistory(context, read, found.parts) : found.parts
      // Snapshots are of the run's time, and no change behind them is before it.
      const cursor = isFirst ? { ...own, at: whole } : own
      results.push({ ...found, parts, watermark: position, cursor })
      continue
    }
    const made = await mend(context, mended[of]!, passed!.parts[of]!, passed!.counts[of]!)
    results.push({ ...made.found, watermark: position, cursor: { ...own, number: made.number } })
  }
  return results
}

interface Mended extends TableRead {
  read: PlannedRead
  index: number
  earlier: LogPosition
}

const isMended = (one: TableRead & { read: PlannedRead; index: number }): one is Mended =>
  one.earlier !== undefined

/** Stages the log from where the first rows were read. */
async function pass(context: RunContext, connection: string, mended: Mended[], until: LogPosition) {
  const reads = mended.map(based)
  const [first] = reads as [PlannedRead]
  const { result, parts } = await passLog(context, connection, first.changes!.reader, reads, until).catch(
    (error: unknown) => {
      throw orUnmended(first, error)
    },
  )
  const stored = await storedNow(context, connection, reads)
  for (const [index, read] of reads.entries())
    try {
      toldAnew(read, result.counts[index]!, ownValue(stored, read.extract))
    } catch (error) {
      throw orUnmended(read, error)
    }
  return { counts: result.counts, parts }
}

async function mend(
  context: RunContext,
  one: Mended,
  staged: Part[],
  counts: ChangeCounts,
): Promise<{ found: Extracted; number: number }> {
  const { read, found } = one
  const changed = await compactChanges(context, based(one), staged, counts).catch((error: unknown) => {
    throw orUnmended(read, error)
  })
  const parts = await merged(context, read, found.parts, changed)
  return { found: { ...found, parts, rows: rowsIn(parts) }, number: changed.number }
}

const orUnmended = (read: PlannedRead, error: unknown) =>
  error instanceof EngineError && error.code === 'LOG_LOST' ? new Unmended(read, error) : error

/** The read of a table's log on top of what was read of it in several views. */
function based({ read, found, earlier }: Mended): PlannedRead {
  const { number, stored } = read.changes!
  const cursor = { position: earlier, number, ...(stored && { stored }) } satisfies LogCursor
  const night = { run: '', columns: read.columns, parts: found.parts }
  const image = { columns: read.columns, nights: [night], parts: found.parts }
  return { ...read, cursor, base: { value: null, run: '', image } }
}

/** The rows that were read, but those that changed since; and the last state of each of these. */
async function merged(
  context: RunContext,
  { extract, columns, key }: PlannedRead,
  rows: Part[],
  { parts, gone }: ChangedRows,
): Promise<Part[]> {
  const { root } = context
  if (parts.length + gone.length === 0) return rows
  const keys = key.map(quoteName).join(', ')
  const list = columns.map(({ name }) => quoteName(name)).join(', ')
  const changed = [parts, gone].filter(files => files.length > 0)
  const touched = changed.map(files => `SELECT ${keys} FROM ${filesSql(root, files)}`).join(' UNION ALL ')
  const all: string[] = []
  if (rows.length > 0)
    all.push(`SELECT ${list} FROM ${filesSql(root, rows)} ANTI JOIN (${touched}) USING (${keys})`)
  if (parts.length > 0) all.push(`SELECT ${list} FROM ${filesSql(root, parts)}`)
  const made =
    all.length > 0
      ? await copyParts(context, all.join(' UNION ALL '), ownFile(context, `raw/${extract}/mended`))
      : []
  for (const { file } of [...rows, ...parts, ...gone]) rmSync(join(root, file))
  return made.filter(part => part.rows > 0)
}
