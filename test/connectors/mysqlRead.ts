import assert from 'node:assert/strict'
import { type Batch, isValid, type Vector } from '../../engine/batch/batch.ts'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { ChangeModule } from '../../engine/contracts/changes.ts'
import type {
  ExtractSpec,
  Lane,
  LaneModule,
  Range,
  Read,
  Snapshot,
  Source,
} from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Column, InexactPolicy } from '../../engine/types/logical.ts'
import { mysql } from '../../src/connectors/mysql/index.ts'

/** A value in the notation the server would print it in. */
export type Value = string | null
export const signal = new AbortController().signal
export const limits = { rows: 500, bytes: 1 << 20 }

export const source = (url: string): Source => mysql.source!({ url }, { name: 'legacy', baseDir: '.' })
export const spec = (table: string, columns: Record<string, InexactPolicy> = {}): ExtractSpec => {
  return { name: table, from: 'legacy', key: [], columns, options: { table } }
}

/** A value in the notation the server would print it in, from a vector's bytes alone. */
export function textOf(vector: Vector, row: number): Value {
  if (!isValid(vector, row)) return null
  const { type } = vector.column
  const { data, offsets } = vector
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  switch (type.kind) {
    case 'text':
    case 'binary': {
      const bytes = Buffer.from(data.subarray(offsets![row]!, offsets![row + 1]!))
      return type.kind === 'text' ? bytes.toString('utf8') : bytes.toString('hex')
    }
    case 'int': {
      const bytes = data.slice((row * type.bits) / 8, ((row + 1) * type.bits) / 8).reverse()
      const unsigned = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
      return String(type.signed ? BigInt.asIntN(type.bits, unsigned) : unsigned)
    }
    case 'decimal': {
      const raw = (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true)
      const digits = String(raw < 0n ? -raw : raw).padStart(type.scale + 1, '0')
      const cut = digits.length - type.scale
      return `${raw < 0n ? '-' : ''}${digits.slice(0, cut)}${type.scale ? `.${digits.slice(cut)}` : ''}`
    }
    case 'float': {
      const value = type.bits === 32 ? view.getFloat32(row * 4, true) : view.getFloat64(row * 8, true)
      return Object.is(value, -0) ? '-0' : String(value)
    }
    case 'date':
      return new Date(view.getInt32(row * 4, true) * 86_400_000).toISOString().slice(0, 10)
    case 'timestamp': {
      const micros = view.getBigInt64(row * 8, true)
      const second = (micros - (((micros % 1_000_000n) + 1_000_000n) % 1_000_000n)) / 1_000_000n
      const text = new Date(Number(second) * 1000).toISOString().slice(0, 19).replace('T', ' ')
      return `${text}.${String(micros - second * 1_000_000n).padStart(6, '0')}`
    }
    default:
      throw new Error(type.kind)
  }
}

export const rowsOf = (batch: Batch): Value[][] =>
  Array.from({ length: batch.rows }, (_, row) => batch.vectors.map(vector => textOf(vector, row)))

export async function openLanes(snapshot: Snapshot): Promise<Lane[]> {
  const lane = (await import(snapshot.lane.module)) as LaneModule
  const payload = structuredClone(snapshot.lane.payload)
  const lanes = await Promise.all(
    Array.from({ length: snapshot.lanes }, () => lane.openLane(payload, new AbortController().signal)),
  )
  await snapshot.joined()
  return lanes
}

async function readLane(
  lane: Lane,
  read: Read,
  ranges: Range[],
): Promise<{ rows: Value[][]; chunks: number }> {
  const rows: Value[][] = []
  const write = (batch: Batch) => void rows.push(...rowsOf(batch))
  let chunks = 0
  for (let range = ranges.shift(); range; range = ranges.shift()) {
    const rest = await lane.read(
      structuredClone(read),
      structuredClone(range),
      1700,
      {
        write,
        file: async () => {},
        note() {},
      },
      new AbortController().signal,
    )
    if (rest) ranges.push(rest)
    chunks++
  }
  return { rows, chunks }
}

/** Describes and reads a whole table with two lanes. */
export async function readTable(
  url: string,
  table: string,
  { policies = {}, since, lanes: wanted = 2 }: Partial<ReadOptions> = {},
): Promise<{ rows: Value[][]; columns: Column[]; key: string[]; chunks: number; note?: string }> {
  const from = source(url)
  const schema = await from.describe(spec(table, policies), signal)
  const columns = [...schema.columns]
  if (Object.values(policies).includes('quarantine'))
    columns.push({ name: REJECTED, type: { kind: 'text' }, nullable: true, native: 'text' })
  const read: Read = {
    extract: table,
    where: `legacy.${table}`,
    columns,
    key: schema.key,
    options: { table },
    limits,
  }
  if (since) read.since = since
  const snapshot = await from.open(wanted, signal, [read])
  const lanes: Lane[] = []
  try {
    lanes.push(...(await openLanes(snapshot)))
    const ranges = await snapshot.ranges(read)
    while (ranges.length < snapshot.lanes && ranges[0]!.rows! > 1000) {
      const halves = await snapshot.split(read, ranges[0]!)
      if (!halves) break
      ranges.splice(0, 1, ...halves)
    }
    const results = await Promise.all(lanes.map(lane => readLane(lane, read, ranges)))
    const rows = results.flatMap(result => result.rows)
    const chunks = results.reduce((sum, result) => sum + result.chunks, 0)
    return { rows, columns, key: schema.key, chunks, note: snapshot.note }
  } finally {
    await Promise.all(lanes.map(lane => lane.close()))
    await snapshot.close()
    await from.close()
  }
}
/** A table whose log is read from now on; `read` gives the rows that it says were inserted by then. */
export async function followed(url: string, table: string, policies: Record<string, InexactPolicy> = {}) {
  const from = source(url)
  const log = from.changeLog!
  const followed = spec(table, policies)
  const start = await log.follow('reader', [{ spec: followed }], signal)
  return {
    async read(): Promise<Value[][]> {
      const until = await log.follow('reader', [{ spec: followed, from: start }], signal)
      const { columns, key } = await from.describe(followed, signal)
      const read = { extract: table, where: `legacy.${table}`, columns, key, options: { table }, limits }
      const rows: Value[][] = []
      const write = ({ rows: count, vectors }: Batch) =>
        void rows.push(...rowsOf({ rows: count, vectors: vectors.slice(0, columns.length) }))
      const { readChanges } = (await import(log.reading.module)) as ChangeModule
      const reads = [{ ...read, from: start, changes: 0 }]
      const sink = { write, file: async () => {}, note() {} }
      await readChanges(log.reading.payload, { reader: 'reader', reads, until }, [sink], signal)
      return rows
    },
  }
}

interface ReadOptions {
  policies: Record<string, InexactPolicy>
  since: { column: string; value: string }
  lanes: number
}

export const failsWith = (code: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof EngineError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, pattern)
  return true
}
