/** Reads one drop into staging with two lanes, in a process of its own: `{"config", "options", "root"}` in argv. */
import { REJECTED } from '../engine/batch/builder.ts'
import type { Read } from '../engine/contracts/source.ts'
import { openLane } from '../engine/extract/laneHandle.ts'
import { Workers } from '../engine/pool/pool.ts'
import { connectorFor } from '../src/connectors/index.ts'
import { dropOptions } from '../src/drops/options.ts'

const LANES = 2
const {
  config,
  options: asked,
  root,
} = JSON.parse(process.argv[2]!) as {
  config: { url: string }
  options: object
  root: string
}
const connector = connectorFor(config.url)
const source = connector.source!(connector.config.parse(config), { name: 'drop', baseDir: '/' })
const options = dropOptions.parse(asked)
const { signal } = new AbortController()
const schema = await source.describe({ name: 'rows', from: 'drop', key: [], columns: {}, options }, signal)
const text = { name: REJECTED, type: { kind: 'text' as const }, nullable: true, native: 'text' }
const read: Read = {
  extract: 'rows',
  where: 'drop.rows',
  columns: [...schema.columns, text],
  key: [],
  options,
  limits: { rows: 100_000, bytes: 16e6 },
}
const workers = new Workers(LANES)
const began = performance.now()
const snapshot = await source.open(LANES, signal, [read])
const queue = (await snapshot.ranges(read)).map((range, index) => ({
  range,
  limit: 0,
  stem: `part-${index}`,
}))
let rows = 0
await Promise.all(
  Array.from({ length: LANES }, async () => {
    const lane = await openLane(workers, snapshot.lane, root, new AbortController().signal)
    for (let next = queue.shift(); next; next = queue.shift())
      for (const part of (
        await lane.read({ read, ...next, folder: 'raw' }, () => {}, new AbortController().signal)
      ).parts)
        rows += part.rows
    await lane.close()
  }),
)
await snapshot.close()
await source.close()
await workers.close()
console.log(JSON.stringify({ rows, seconds: (performance.now() - began) / 1000 }))
