import type { Batch } from '../../../engine/batch/batch.ts'
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
  const snapshot = await source.open(1)
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
