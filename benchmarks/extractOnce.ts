/**
 * One measurement of `extract.bench.ts`, in a process of its own so that its memory and CPU time are its own.
 * Arguments: mode (`raw`, `decode` or `stage`), connections, the database's URL, the staging folder, the table and its first key column.
 * Prints one JSON line: rows, bytes, seconds and CPU seconds from the first query to the end, peak memory in bytes.
 */
import type { Socket } from 'node:net'
import { createConnection } from 'mysql2'
import pg from 'pg'
import type { ExtractSpec, LaneModule, Read } from '../engine/contracts/source.ts'
import { extract } from '../engine/extract/extract.ts'
import { planRead } from '../engine/plan/plan.ts'
import { Workers } from '../engine/pool/pool.ts'
import { shareMemory } from '../engine/runtime/budget.ts'
import type { RunContext } from '../engine/runtime/context.ts'
import { FailureScope } from '../engine/runtime/failureScope.ts'
import { LocalStaging } from '../engine/staging/local.ts'
import { connectorFor } from '../src/connectors/index.ts'

const MEMORY = 1 << 30
/** A job's own defaults. */
const CHUNK = { defaultChunkSize: 50_000, maxChunkSize: 500_000 }
const [mode, count, url, root, tableName, key] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const connections = Number(count)
const signal = new AbortController().signal
const spec: ExtractSpec = {
  name: tableName,
  from: 'bench',
  key: [],
  columns: {},
  options: { table: tableName },
}

const result = mode === 'raw' ? await raw() : mode === 'decode' ? await decode() : await stage()
console.log(JSON.stringify({ ...result, peak: process.resourceUsage().maxRSS * 1024 }))

async function timed(work: () => Promise<{ rows: number; bytes: number }>) {
  const before = process.resourceUsage()
  const start = performance.now()
  const done = await work()
  const seconds = (performance.now() - start) / 1000
  const after = process.resourceUsage()
  const cpu = (after.userCPUTime - before.userCPUTime + after.systemCPUTime - before.systemCPUTime) / 1e6
  return { ...done, seconds, cpu }
}

/** What the server sends, read from the socket and dropped: the table by halves of its key on two connections. */
async function raw() {
  const drain = url.startsWith('postgres') ? drainPostgres : drainMariadb
  const bounds = await highestKey()
  return timed(async () => {
    const parts = Array.from({ length: connections }, (_, index) => {
      const at = (share: number) => Math.floor((bounds * share) / connections)
      return connections === 1 ? '' : ` WHERE ${key} > ${at(index)} AND ${key} <= ${at(index + 1)}`
    })
    const bytes = await Promise.all(parts.map(drain))
    return { rows: 0, bytes: bytes.reduce((sum, part) => sum + part, 0) }
  })
}

async function highestKey(): Promise<number> {
  const sql = `SELECT max(${key}) AS high FROM ${tableName}`
  if (url.startsWith('postgres')) {
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query<{ high: string }>(sql)
    await client.end()
    return Number(rows[0]!.high)
  }
  const connection = createConnection(url)
  const [rows] = await connection.promise().query(sql)
  await connection.promise().end()
  return Number((rows as { high: number }[])[0]!.high)
}

async function drainPostgres(where: string): Promise<number> {
  const client = new pg.Client(url)
  await client.connect()
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
  const sql = Buffer.from(`COPY (SELECT * FROM ${tableName}${where}) TO STDOUT (FORMAT binary)\0`)
  const head = Buffer.alloc(5, 'Q')
  head.writeInt32BE(sql.length + 4, 1)
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
  const bytes = await drain(stream, Buffer.concat([head, sql]), piece => piece.subarray(-6).equals(ready))
  await client.end()
  return bytes
}

async function drainMariadb(where: string): Promise<number> {
  const connection = createConnection(url)
  await connection.promise().query('SELECT 1')
  const { stream } = connection as unknown as { stream: Socket }
  const sql = Buffer.from(`\x03SELECT * FROM ${tableName}${where}`)
  const head = Buffer.alloc(4)
  head.writeUIntLE(sql.length, 0, 3)
  // The last packet is an EOF or, in its newer form, an OK: 5 or 7 bytes that begin with 0xfe.
  const ended = (piece: Buffer) =>
    (piece.at(-5) === 0xfe && piece.at(-9) === 5) || (piece.at(-7) === 0xfe && piece.at(-11) === 7)
  const bytes = await drain(stream, Buffer.concat([head, sql]), ended)
  connection.destroy()
  return bytes
}

function drain(stream: Socket, query: Buffer, ended: (tail: Buffer) => boolean): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const drivers = stream.listeners('data') as ((piece: Buffer) => void)[]
  let bytes = 0
  let tail: Buffer = Buffer.alloc(0)
  const onData = (piece: Buffer) => {
    bytes += piece.length
    tail = piece.length >= 16 ? piece.subarray(-16) : Buffer.concat([tail, piece]).subarray(-16)
    if (!ended(tail)) return
    stream.off('data', onData)
    for (const driver of drivers) stream.on('data', driver)
    resolve(bytes)
  }
  stream.removeAllListeners('data')
  stream.on('data', onData).on('error', reject)
  stream.write(query)
  return promise
}

/** The connector's own lanes on this thread, their batches dropped. */
async function decode() {
  const { source, plan } = await planned()
  const read: Read = plan.reads[0]!
  const snapshot = await source.open(connections, signal, [read])
  const { openLane } = (await import(snapshot.lane.module)) as LaneModule
  const lanes = await Promise.all(
    Array.from({ length: connections }, () => openLane(snapshot.lane.payload, new AbortController().signal)),
  )
  await snapshot.joined()
  const queue = await snapshot.ranges(read)
  const done = await timed(async () => {
    let rows = 0
    const sink = {
      write(batch: { rows: number }) {
        rows += batch.rows
      },
      async file() {},
      note() {},
    }
    await Promise.all(
      lanes.map(async lane => {
        for (let range = queue.shift(); range; range = queue.shift()) {
          const rest = await lane.read(read, range, CHUNK.maxChunkSize, sink, new AbortController().signal)
          if (rest) queue.unshift(rest)
        }
      }),
    )
    return { rows, bytes: 0 }
  })
  await Promise.all(lanes.map(lane => lane.close()))
  await snapshot.close()
  await source.close()
  return done
}

/** The engine's extraction, whole: worker threads, Parquet, fsync. */
async function stage() {
  const { source, plan, budget } = await planned()
  const workers = new Workers(connections)
  const outputs = new Map<string, unknown>()
  const context = {
    spec: {
      job: 'bench',
      loads: [],
      resources: { memory: MEMORY, threads: connections },
      parallelism: { maxParallelExtracts: 1 },
      retries: { limit: 0, delay: 0, maxDelay: 0 },
      chunking: CHUNK,
    },
    run: 'once',
    sources: new Map([['bench', source]]),
    root,
    // An extract of a server asks DuckDB nothing.
    duck: { interruptOn: () => () => {} },
    staging: new LocalStaging(root),
    clock: { now: () => new Date() },
    signal,
    stop: signal,
    fence: 1,
    acquireSlots: async () => async () => {},
    workers,
    budget,
    progress: { started() {}, advanced() {}, finished() {}, note() {} },
    tasks: {
      output: async (task: string) => outputs.get(task),
      begin: async () => {},
      commit: async (task: string, output: unknown) => void outputs.set(task, output),
      fail: async () => {},
      progress: async () => {},
    },
  } as unknown as RunContext
  const done = await timed(async () => {
    const [extracted] = await extract(context, plan, new FailureScope(context))
    return { rows: extracted!.rows, bytes: extracted!.parts.reduce((sum, part) => sum + part.bytes, 0) }
  })
  await workers.close()
  await source.close()
  return done
}

async function planned() {
  const connector = connectorFor(url)
  const source = connector.source!(connector.config.parse({ url }), { name: 'bench', baseDir: '' })
  const budget = shareMemory(MEMORY, connections)
  const schema = await source.describe(spec, signal)
  const read = planRead({
    now: new Date(),
    spec,
    schema,
    limits: { rows: CHUNK.defaultChunkSize, bytes: budget.batch },
  })
  return { source, budget, plan: { reads: [read], loads: [] } }
}
