import { REJECTED } from '../../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../../engine/contracts/source.ts'
import { abortable } from '../../../engine/pool/abortable.ts'
import { Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetType } from '../../../engine/types/duckType.ts'
import { typeName } from '../../../engine/types/logical.ts'
import { openStore, type StoreLocation } from '../../stores/open.ts'
import type { FileStore } from '../../stores/store.ts'
import { openFiles, tableSql } from './files.ts'
import { type LakeRange, rangeOf } from './source.ts'

/** DuckDB's Parquet reader and writer with one thread. */
const MEMORY = 256 * 1024 * 1024

export async function openLane(payload: unknown): Promise<Lane> {
  const store = openStore(payload as StoreLocation)
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  return {
    read: (read, range, limit, sink, signal) =>
      abortable(
        signal,
        read.where,
        () => readFiles(duck, store, read, range, limit, sink).finally(() => store.clear()),
        () => duck.interrupt(),
      ),
    close: async () => duck.close(),
  }
}

async function readFiles(
  duck: Duck,
  store: FileStore,
  read: Read,
  range: Range,
  limit: number,
  sink: Sink,
): Promise<Range | undefined> {
  const { table, columns, files } = range.payload as LakeRange
  let taken = 0
  for (let rows = 0; taken < files.length && rows < limit; taken++) rows += files[taken]!.rows
  const typed = columns.map(({ name, type }) => ({
    name,
    type: parquetType(type)!,
    nullable: true,
    native: type,
  }))
  const rows = tableSql(typed, await openFiles(store, table, files.slice(0, taken)))
  const values = read.columns.map(({ name, type }) =>
    name === REJECTED
      ? `NULL::VARCHAR AS ${REJECTED}`
      : `CAST(${quoteName(name)} AS ${typeName(type)}) AS ${quoteName(name)}`,
  )
  const since = read.since ? ` WHERE ${sinceSql(read.since)}` : ''
  const select = `SELECT ${values.join(', ')} FROM (${rows})${since}`
  await sink.file(path => duck.copyParquet(select, path, 'COMPRESSION snappy'))
  return taken < files.length ? rangeOf({ table, columns, files: files.slice(taken) }) : undefined
}

function sinceSql({ column, value, nulls }: NonNullable<Read['since']>): string {
  const name = quoteName(column)
  return `(${name} >= ${quote(value)}${nulls ? ` OR ${name} IS NULL` : ''})`
}
