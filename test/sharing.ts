import { randomInt } from 'node:crypto'
import type { Batch } from '../engine/batch/batch.ts'
import { Share } from '../engine/flow/share.ts'
import type { ExtractSpec, Lane, LaneModule, Read, Source, TableSchema } from '../engine/ports.ts'

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
    // So that no value a key may have stops the read.
    columns: schema.columns.map(column => ({ ...column, policy: 'null' })),
    key: schema.key,
    options: { table },
    limits: { rows: 7, bytes: 1 << 20 },
    ...(sharing.since && { since: sharing.since }),
  }
  const position = schema.columns.findIndex(({ name }) => name === 'n')
  const snapshot = await source.open(sharing.lanes, signal)
  const lanes: Lane[] = []
  try {
    const { openLane } = (await import(snapshot.ticket.module)) as LaneModule
    for (let lane = 0; lane < snapshot.lanes; lane++) lanes.push(await openLane(snapshot.ticket.payload))
    await snapshot.joined()
    const share = new Share<number[]>(await snapshot.ranges(read), 3)
    let failed = false
    const work = async (lane: Lane) => {
      while (!failed) {
        const step = share.next(snapshot.lanes)
        if (step.kind === 'done') return
        if (step.kind === 'wait') await new Promise(resolve => setTimeout(resolve, 1))
        else if (step.kind === 'split')
          share.split(step.piece, await snapshot.split(read, structuredClone(step.piece.range)))
        else {
          const rows: number[] = []
          const write = (batch: Batch) => void rows.push(...numbers(batch, position))
          const sink = { write, file: async () => {} }
          const range = structuredClone(step.piece.range)
          share.read(step.piece, rows, await lane.read(read, range, randomInt(1, sharing.limit + 1), sink))
        }
      }
    }
    await Promise.all(
      lanes.map(lane =>
        work(lane).catch(error => {
          failed = true
          throw error
        }),
      ),
    )
    await snapshot.check()
    return { schema, rows: share.results.flat(), chunks: share.results.length }
  } finally {
    await Promise.all(lanes.map(lane => lane.close()))
    await snapshot.close()
    await source.close()
  }
}

function numbers(batch: Batch, position: number): number[] {
  const { data } = batch.vectors[position]!
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  return Array.from({ length: batch.rows }, (_, row) => view.getInt32(row * 4, true))
}
