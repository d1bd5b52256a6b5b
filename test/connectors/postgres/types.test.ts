/**
 * Every type, random values and edges, read as a job reads them, from the table and from the log, and compared one by one with what the server itself
 * writes (COPY in text format). 10,000 rows a type; SOAK_ROWS asks for more, SOAK_SEED for other values.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Batch, isValid, type Vector } from '../../../engine/batch/batch.ts'
import { connect, disconnect } from '../../../src/connectors/postgres/connect.ts'
import { converse, MESSAGE } from '../../../src/connectors/postgres/wire.ts'
import { freshPostgres } from '../../servers.ts'
import { EVERY_TYPE, SETUP, type TypeCase } from './everyType.ts'
import { extractOf, followed, readTable } from './reading.ts'
import { serverText } from './serverText.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 10_000)
const SEED = Number(process.env.SOAK_SEED ?? 0.5)
const TYPES_A_TABLE = 10

test('every value of every type reads as the server itself writes it', async t => {
  t.diagnostic(`${EVERY_TYPE.length} types, ${ROWS} rows each, seed ${SEED}`)
  const db = await freshPostgres(t)
  await db.query(`${SETUP}; SET TimeZone = 'UTC'; SELECT setseed(${SEED})`)
  for (let from = 0; from < EVERY_TYPE.length; from += TYPES_A_TABLE) {
    const types = EVERY_TYPE.slice(from, from + TYPES_A_TABLE)
    const table = `t${from}`
    const { create, insert } = fill(table, types)
    await db.query(create)
    const log = await followed(db.url, extractOf(table))
    await db.query(insert)
    const wanted = await serverLines(db.url, table)
    let rows = 0
    const compare = (batch: Batch) => {
      const ids = new Int32Array(batch.vectors[0]!.data.buffer, 0, batch.rows)
      for (let row = 0; row < batch.rows; row++) sameRow(batch, row, wanted[ids[row]!]!)
      rows += batch.rows
    }
    await readTable(db.url, extractOf(table), compare, { limits: { rows: 4096, bytes: 4 << 20 } })
    assert.equal(rows, wanted.length)
    rows = 0
    await log.read(compare)
    assert.equal(rows, wanted.length, 'from the log')
    await db.query(`DROP TABLE ${table}`)
  }
})

function fill(table: string, types: TypeCase[]): { create: string; insert: string } {
  const columns = types.map(({ type }, index) => `c${index} ${type}`)
  const values = types.map(({ random }) => `CASE WHEN random() < 0.05 THEN NULL ELSE ${random} END`)
  const edges = types.flatMap(({ edges = [] }, index) => edges.map(edge => ({ column: `c${index}`, edge })))
  const inserts = edges.map(
    ({ column, edge }, at) => `INSERT INTO ${table} (id, ${column}) VALUES (${ROWS + at}, ${edge});`,
  )
  const create = `CREATE TABLE ${table} (id integer PRIMARY KEY, ${columns.join(', ')})`
  const insert = `INSERT INTO ${table} SELECT g, ${values.join(', ')} FROM generate_series(0, ${ROWS - 1}) g;
    ${inserts.join('\n')} ANALYZE ${table};`
  return { create, insert }
}

/** The table's lines in COPY's text format, by id. */
async function serverLines(url: string, table: string): Promise<Buffer[]> {
  const client = await connect({ url }, 'pg')
  const lines: Buffer[] = []
  try {
    await converse(client, 'pg', `COPY (SELECT * FROM ${table} ORDER BY id) TO STDOUT`, {
      message(type, bytes, from, to) {
        if (type === MESSAGE.copyData) lines.push(Buffer.from(bytes.subarray(from, to)))
      },
    })
  } finally {
    await disconnect(client)
  }
  return lines
}

const [TAB, NEWLINE, BACKSLASH, N] = [9, 10, 92, 78]
const ESCAPES: Record<string, number> = { b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': BACKSLASH }

function sameRow(batch: Batch, row: number, line: Buffer): void {
  let at = 0
  for (const vector of batch.vectors) {
    let end = at
    while (line[end] !== TAB && line[end] !== NEWLINE) end++
    if (!sameValue(vector, row, line, at, end)) {
      const { name, native } = vector.column
      const got = JSON.stringify(serverText(vector, row))
      assert.fail(`${name} ${native}: ${got} instead of COPY's ${line.toString('utf8', at, end)}`)
    }
    at = end + 1
  }
}

function sameValue(vector: Vector, row: number, line: Buffer, at: number, end: number): boolean {
  if (end - at === 2 && line[at] === BACKSLASH && line[at + 1] === N) return !isValid(vector, row)
  if (!isValid(vector, row)) return false
  const { data, offsets, column } = vector
  if (column.type.kind === 'text') {
    let from = offsets![row]!
    for (; at < end; at++, from++) {
      const byte = line[at] === BACKSLASH ? ESCAPES[String.fromCharCode(line[++at]!)] : line[at]
      if (byte === undefined || from === offsets![row + 1] || data[from] !== byte) return false
    }
    return from === offsets![row + 1]
  }
  const text = line.toString('latin1', at, end)
  const got = serverText(vector, row)!
  if (column.type.kind === 'float') {
    const number = column.type.bits === 32 ? Math.fround(Number(text)) : Number(text)
    return Object.is(number, Number(got))
  }
  return got === (column.type.kind === 'binary' ? text.slice(1) : text)
}
