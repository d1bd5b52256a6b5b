import { join } from 'node:path'
import type { Lane, Range, Read, Sink } from '../../../engine/contracts/source.ts'
import { abortable } from '../../../engine/pool/abortable.ts'
import { Duck, quoteName } from '../../../engine/sql/duckdb.ts'
import { goodRows } from '../../../engine/staging/dataSet.ts'
import { linkOrCopy } from '../../../engine/staging/store.ts'
import type { StagedTable } from '../declare/stagedJob.ts'

/** DuckDB's Parquet reader and writer with one thread. */
const MEMORY = 256 * 1024 * 1024

export async function openLane(): Promise<Lane> {
  return {
    read: async (read, range, _limit, sink, signal) => {
      await readTable(read, range, sink, signal)
      return undefined
    },
    close: async () => {},
  }
}

async function readTable(read: Read, range: Range, sink: Sink, signal: AbortSignal): Promise<void> {
  const table = range.payload as StagedTable
  const { root, columns, parts, findings } = table
  const isWhole =
    columns.length === read.columns.length && columns.every(({ name }, at) => read.columns[at]!.name === name)
  if (isWhole && !findings) {
    for (const { file, rows } of parts)
      if (rows > 0) await sink.file(async path => linkOrCopy(join(root, file), path))
    return
  }
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  try {
    const names = read.columns.map(({ name }) => quoteName(name)).join(', ')
    const rows = `SELECT ${names} FROM (${goodRows(root, table)})`
    const copy = () => sink.file(path => duck.copyParquet(rows, path, 'COMPRESSION snappy'))
    await abortable(signal, read.where, copy, () => duck.interrupt())
  } finally {
    duck.close()
  }
}
