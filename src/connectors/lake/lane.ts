import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Chunk, Lane, Read, Sink } from '../../../engine/ports.ts'
import { Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { typeFromName, typeName } from '../../../engine/types/logical.ts'
import { openFiles, tableSql } from './files.ts'
import { LocalStore } from './localStore.ts'
import type { LakeChunk } from './source.ts'
import type { FileStore } from './store.ts'

/** DuckDB's Parquet reader and writer with one thread. */
const MEMORY = 256 * 1024 * 1024

export async function openLane(payload: unknown): Promise<Lane> {
  const { root } = payload as { root: string }
  const store = new LocalStore(root)
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  return {
    read: (read, chunk, sink) => readFiles(duck, store, read, chunk, sink),
    close: async () => duck.close(),
  }
}

async function readFiles(duck: Duck, store: FileStore, read: Read, chunk: Chunk, sink: Sink): Promise<void> {
  const { table, columns, files } = chunk.payload as LakeChunk
  const typed = columns.map(({ name, type }) => ({
    name,
    type: typeFromName(type)!,
    nullable: true,
    native: type,
  }))
  const rows = tableSql(typed, await openFiles(store, table, files))
  const values = read.columns.map(({ name, type }) =>
    name === REJECTED
      ? `NULL::VARCHAR AS ${REJECTED}`
      : `CAST(${quoteName(name)} AS ${typeName(type)}) AS ${quoteName(name)}`,
  )
  const since = read.since ? ` WHERE ${quoteName(read.since.column)} >= ${quote(read.since.value)}` : ''
  await sink.file(path =>
    duck.run(
      `COPY (SELECT ${values.join(', ')} FROM (${rows})${since}) TO ${quote(path)} (FORMAT parquet, COMPRESSION snappy)`,
    ),
  )
}
