import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { BinlogReader } from '../../src/connectors/mysql/binlog.ts'

const START = { file: 'b.1', offset: 4, gtids: '', server: '' }
const END = { ...START, file: 'b.9' }

interface Told {
  sql: string
  database: string
  seconds: number
  micros: number
}

/** What a log of these events tells. */
function told(events: Buffer[]): Told[] {
  const found: Told[] = []
  const reader = new BinlogReader('s', START, END, false, {
    rows: () => {},
    statement: ({ sql, database }, { seconds, micros }) =>
      void found.push({ sql, database, seconds, micros }),
  })
  pass(reader, events)
  return found
}

function pass(reader: BinlogReader, events: Buffer[]): void {
  for (const event of events) {
    const bytes = Buffer.concat([Buffer.of(0), event])
    reader.payload(bytes, 0, bytes.length)
  }
}

function event(type: number, body: Buffer, { flags = 0, seconds = 1000 } = {}): Buffer {
  const header = Buffer.alloc(19)
  header.writeUInt32LE(seconds, 0)
  header[4] = type
  header.writeUInt32LE(19 + body.length, 9)
  header.writeUInt16LE(flags, 17)
  return Buffer.concat([header, body])
}

/** A statement's event; `head`: bytes before its variables. */
function query(sql: string, head = 13, type = 2): Buffer {
  const start = Buffer.alloc(head)
  start[8] = 1
  return event(type, Buffer.concat([start, Buffer.from(`d\0${sql}`)]))
}

/** A GTID event of MySQL; `micros`: when it was committed, and here as a replica. */
function gtid(micros: bigint | undefined): Buffer {
  const body = Buffer.alloc(micros === undefined ? 42 : 56)
  body[25] = 2
  if (micros !== undefined) {
    const at = Buffer.alloc(8)
    at.writeBigUInt64LE(micros | (1n << 55n))
    at.copy(body, 42, 0, 7)
    at.copy(body, 49, 0, 7)
  }
  return event(33, body)
}

test('an event of a type that is not known is an error, unless it says that it may be passed over', () => {
  for (const type of [1, 6, 20, 43, 99, 172])
    assert.throws(
      () => told([event(type, Buffer.alloc(60))]),
      ({ code, message, hint }: EngineError) =>
        code === 'LOG_LOST' && message.includes(`type ${type} at b.1:`) && /--full-refresh/.test(hint!),
    )
  for (const type of [3, 13, 29, 163]) told([event(type, Buffer.alloc(60))])
  told([event(172, Buffer.alloc(60), { flags: 0x80 })])
})

test('a file that a statement loads is told as the statement', () => {
  const [found] = told([gtid(undefined), event(17, Buffer.alloc(9)), query('LOAD DATA INTO TABLE t', 26, 18)])
  assert.equal(found!.sql, 'LOAD DATA INTO TABLE t')
  assert.equal(found!.database, 'd')
})

test('MySQL tells when a transaction was committed, or when the statement began that did', () => {
  const at = 1_900_000_000_123_456n
  const [exact, whole] = told([gtid(at), query('TRUNCATE t'), gtid(undefined), query('TRUNCATE t')])
  assert.deepEqual([exact!.seconds, exact!.micros], [1_900_000_000, 123_456])
  assert.deepEqual([whole!.seconds, whole!.micros], [1000, 0])
})

test('a transaction begins with its tagged GTID as with any: its time is that of its first statement, and nobody reads on from amid it', () => {
  const tagged = event(42, Buffer.alloc(30))
  const [, second] = told([gtid(1_900_000_000_123_456n), query('TRUNCATE t'), tagged, query('TRUNCATE t')])
  assert.deepEqual([second!.seconds, second!.micros], [1000, 0])
  const reader = new BinlogReader('s', START, END, false, { rows: () => {}, statement: () => {} })
  tagged.writeUInt32LE(53, 13)
  pass(reader, [tagged])
  assert.equal(reader.position.offset, 4)
})
