import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { LaneModule, Read, Source } from '../../engine/contracts/source.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import type { Column } from '../../engine/types/logical.ts'
import { dropOptions } from '../../src/drops/options.ts'
import type { Reject } from '../../src/formats/rowSpool.ts'

/** A place for files that a connector reads and a test fills. */
export interface Place {
  name: string
  source(): Source
  put(name: string, content: string | Buffer): Promise<void>
  remove(name: string): Promise<void>
  /** Names of all files, sorted. */
  names(): Promise<string[]>
  get(name: string): Promise<string>
}

/** What one night read. */
export interface Night {
  /** Values of good rows, as text. */
  rows: (string | null)[][]
  rejected: Reject[]
  /** The bytes of parts. */
  staged: Buffer[]
  notes: string[]
  types: string[]
  cursor: unknown
  /** Does what follows the commit of the load, and gives what people are told of it. `others`: what other extracts have taken. */
  release(others?: { options: object; cursor: unknown }[]): Promise<string[]>
}

/** Reads a drop as a run does, from what the last committed night left. `again`: what fails is read once more, as another lane does. */
export async function night(
  place: Pick<Place, 'source'>,
  asked: Record<string, unknown>,
  last?: { cursor: unknown; columns?: Column[] },
  again = false,
): Promise<Night & { columns: Column[] }> {
  const options = dropOptions.parse(asked)
  const { signal } = new AbortController()
  const source = place.source()
  const folder = mkdtempSync(join(tmpdir(), 'nf-night-'))
  const duck = await Duck.open({ threads: 1 })
  try {
    const spec = { name: 'things', from: 'drop', key: [], columns: {}, options }
    const schema = await source.describe(
      spec,
      signal,
      last?.columns && { columns: last.columns, absent: [], cursor: async () => last.cursor },
    )
    const columns: Column[] = [
      ...schema.columns,
      { name: REJECTED, type: { kind: 'text' }, nullable: true, native: 'text' },
    ]
    const limits = { rows: 1000, bytes: 1e6, share: 96e6, most: 400e6 }
    const read: Read = {
      extract: 'things',
      where: 'drop.things',
      columns,
      key: [],
      options,
      limits,
      cursor: last?.cursor,
    }
    const snapshot = await source.open(2, signal, [read])
    const lane = await ((await import(snapshot.lane.module)) as LaneModule).openLane(
      snapshot.lane.payload,
      new AbortController().signal,
    )
    const parts: { path: string; exact: boolean }[] = []
    let given: { cursor: unknown; notes: string[] }
    try {
      for (const range of await snapshot.ranges(read)) {
        const before = parts.length
        const attempt = () =>
          lane.read(
            read,
            range,
            1,
            {
              write: () => assert.fail('drops write files'),
              file: async (fill, exact = false) => {
                const path = join(folder, `${parts.length}.parquet`)
                await fill(path)
                parts.push({ path, exact })
              },
              note: () => assert.fail(),
            },
            new AbortController().signal,
          )
        await attempt().catch(error => {
          if (!again) throw error
          parts.length = before
          return attempt()
        })
      }
      given = await snapshot.cursor!(read)
    } finally {
      await lane.close()
      await snapshot.close()
    }
    const rows: (string | null)[][] = []
    const rejected: Reject[] = []
    for (const { path, exact } of parts) {
      const good = exact
        ? `SELECT COLUMNS(*)::VARCHAR FROM ${quote(path)}`
        : `SELECT COLUMNS(* EXCLUDE ${REJECTED})::VARCHAR FROM ${quote(path)} WHERE ${REJECTED} IS NULL`
      for (const row of await duck.rows(good)) rows.push(Object.values(row) as (string | null)[])
      if (exact) continue
      for (const row of await duck.rows(
        `SELECT ${REJECTED} AS r FROM ${quote(path)} WHERE ${REJECTED} IS NOT NULL`,
      ))
        rejected.push(...(JSON.parse(String(row.r)) as Reject[]))
    }
    const types = schema.columns.map(({ native }) => native)
    return {
      rows,
      rejected,
      staged: parts.map(({ path }) => readFileSync(path)),
      ...given,
      types,
      columns: schema.columns,
      release: async (others: { options: object; cursor: unknown }[] = []) => {
        const again = place.source()
        const told = await again.acknowledge!(read, given.cursor, signal, others)
        await again.close()
        return told
      },
    }
  } finally {
    duck.close()
    await source.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A folder of this machine as a place. */
export function folderPlace(name: string, folder: string, source: () => Source): Place {
  mkdirSync(folder, { recursive: true })
  return {
    name,
    source,
    put: async (file, content) => {
      const path = join(folder, file)
      mkdirSync(dirname(path), { recursive: true })
      const before = existsSync(path) ? statSync(path).mtimeMs : undefined
      writeFileSync(path, content)
      // A server tells whole seconds only.
      if (before !== undefined) utimesSync(path, new Date(before + 5000), new Date(before + 5000))
    },
    remove: async file => rmSync(join(folder, file), { force: true }),
    names: async () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
        .sort(),
    get: async file => readFileSync(join(folder, file), 'utf8'),
  }
}
