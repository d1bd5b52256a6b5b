import { randomBytes } from 'node:crypto'
import type { Batch } from '../../../engine/batch/batch.ts'
import type { ChangeModule, ChangesRead } from '../../../engine/contracts/changes.ts'
import type { ExtractSpec, LaneModule, Range, Read } from '../../../engine/contracts/source.ts'
import { planRead } from '../../../engine/plan/plan.ts'
import { PostgresSource } from '../../../src/connectors/postgres/source.ts'
import { serverText } from './serverText.ts'

/** An extract of a table, with policies per column. */
export const extractOf = (table: string, columns: ExtractSpec['columns'] = {}): ExtractSpec => ({
  name: table,
  from: 'pg',
  key: [],
  columns,
  options: { table },
})

/**
 * Reads a table as a job does: described, planned, and read chunk by chunk by one lane. A batch lives until `onBatch`
 * returns.
 */
export async function readTable(
  url: string,
  spec: ExtractSpec,
  onBatch: (batch: Batch) => void,
  { limits = { rows: 64, bytes: 1 << 20 }, ...rest }: Partial<Read> = {},
): Promise<{ read: Read; chunks: number }> {
  const source = new PostgresSource({ name: 'pg', url })
  const read: Read = {
    ...planRead({ now: new Date(), spec, schema: await source.describe(spec), limits }),
    ...rest,
  }
  const snapshot = await source.open(1, new AbortController().signal, [read])
  const module = (await import(snapshot.lane.module)) as LaneModule
  const lane = await module.openLane(snapshot.lane.payload, new AbortController().signal)
  try {
    const ranges: (Range | undefined)[] = await snapshot.ranges(read)
    const sink = { write: onBatch, file: async () => {}, note() {} }
    let chunks = 0
    for (const first of ranges)
      for (let range = first; range; chunks++)
        range = await lane.read(read, range, 4 * limits.rows, sink, new AbortController().signal)
    return { read, chunks }
  } finally {
    await lane.close()
    await snapshot.close()
    await source.close()
  }
}

/** The rows of a table, every value as the server writes it. */
export async function readRows(
  url: string,
  spec: ExtractSpec,
  options?: Partial<Read>,
): Promise<{ read: Read; chunks: number; rows: (string | null)[][] }> {
  const rows: (string | null)[][] = []
  const collect = (batch: Batch) => {
    for (let row = 0; row < batch.rows; row++) rows.push(batch.vectors.map(vector => serverText(vector, row)))
  }
  return { ...(await readTable(url, spec, collect, options)), rows }
}

/** A table whose log is kept from now on; `read` gives what it says by then, and lets the server forget it. */
export async function followed(url: string, spec: ExtractSpec) {
  const source = new PostgresSource({ name: 'pg', url })
  const { changeLog } = source
  const { signal } = new AbortController()
  const reader = `nightfreight_${randomBytes(6).toString('hex')}`
  const from = await changeLog.follow(reader, [{ spec }], signal)
  return {
    async read(onBatch: (batch: Batch) => void): Promise<ChangesRead> {
      try {
        const until = await changeLog.follow(reader, [{ spec, from }], signal)
        const limits = { rows: 1024, bytes: 4 << 20 }
        const schema = await source.describe(spec)
        const read = { ...planRead({ now: new Date(), spec, schema, limits }), from, changes: 0 }
        const module = (await import(changeLog.reading.module)) as ChangeModule
        const write = ({ rows, vectors }: Batch) =>
          onBatch({ rows, vectors: vectors.slice(0, read.columns.length) })
        const sink = { write, file: async () => {}, note() {} }
        return await module.readChanges(
          changeLog.reading.payload,
          { reader, reads: [read], until },
          [sink],
          signal,
        )
      } finally {
        await changeLog.drop(reader, signal)
        await source.close()
      }
    },
  }
}
