import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import type { Batch } from '../engine/batch/batch.ts'
import type {
  ExtractSpec,
  Lane,
  LaneModule,
  Range,
  Read,
  Source,
  TableSchema,
} from '../engine/contracts/source.ts'
import { LanePool } from '../engine/extract/lanePool.ts'
import { RangeQueue } from '../engine/extract/rangeQueue.ts'
import { runLanes } from '../engine/extract/runLanes.ts'

/** How {@link readShared} reads: `lanes` at once, chunks of a random size up to `limit` rows. */
export interface Sharing {
  lanes: number
  limit: number
  since?: Read['since']
}

export interface SharedRead {
  schema: TableSchema
  /** The values of the INTEGER column `n`, in the order of the ranges. */
  rows: number[]
  chunks: number
}

/** Reads a table of a source with lanes in this thread, which share its ranges as the engine's do. */
export async function readShared(source: Source, table: string, sharing: Sharing): Promise<SharedRead> {
  const { signal } = new AbortController()
  const spec: ExtractSpec = { name: table, from: 'test', key: [], columns: {}, options: { table } }
  const schema = await source.describe(spec, signal)
  const read: Read = {
    extract: table,
    where: `test.${table}`,
    // So that no value a key may have stops the read; texts have one where they need it.
    columns: schema.columns.map(column =>
      column.type.kind === 'text' && !column.policy ? column : { ...column, policy: 'null' },
    ),
    key: schema.key,
    options: { table },
    limits: { rows: 7, bytes: 1 << 20 },
    ...(sharing.since && { since: sharing.since }),
  }
  const position = schema.columns.findIndex(({ name }) => name === 'n')
  const snapshot = await source.open(sharing.lanes, signal, [read])
  let pool: LanePool<Lane> | undefined
  try {
    const { openLane } = (await import(snapshot.lane.module)) as LaneModule
    pool = await LanePool.open(
      'test',
      snapshot,
      () => openLane(snapshot.lane.payload, new AbortController().signal),
      assert.fail,
    )
    const share = new RangeQueue<number[]>(await snapshot.ranges(read), 3)
    const split = (range: Range) => snapshot.split(read, structuredClone(range))
    const readChunk = async (lane: Lane, range: Range) => {
      const result: number[] = []
      const write = (batch: Batch) => void result.push(...numbers(batch, position))
      const sink = { write, file: async () => {}, note() {} }
      return {
        result,
        rest: await lane.read(
          read,
          structuredClone(range),
          randomInt(1, sharing.limit + 1),
          sink,
          new AbortController().signal,
        ),
      }
    }
    await runLanes(share, pool, { split, read: readChunk }, signal)
    await snapshot.check()
    return { schema, rows: share.results.flat(), chunks: share.results.length }
  } finally {
    await pool?.close()
    await snapshot.close()
    await source.close()
  }
}

function numbers(batch: Batch, position: number): number[] {
  const { data } = batch.vectors[position]!
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  return Array.from({ length: batch.rows }, (_, row) => view.getInt32(row * 4, true))
}
