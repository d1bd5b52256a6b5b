import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Duck, isOutOfMemory } from '../../engine/sql/duckdb.ts'
import { BadFile } from '../formats/bad.ts'
import { jsonLayout } from '../formats/json.ts'
import { firstRows, readablePaths } from '../formats/parquet.ts'
import { arrowParquet } from '../formats/reader.ts'
import { RowSpool } from '../formats/rowSpool.ts'
import { openText } from '../formats/textFile.ts'
import type { TextFile } from '../formats/textFormat.ts'
import { membersOf, type Unpacked } from './members.ts'
import { type DropOptions, textFormat } from './options.ts'
import { readAll } from './ranged.ts'
import { goodFiles } from './select.ts'
import { Spool } from './spool.ts'
import type { DropStore } from './store.ts'

/** Bytes of the largest file of which rows are shown: a file may have to be fetched whole for its first row. */
const MAX_FILE_BYTES = 64 * 1024 * 1024
const MEMORY = 256 * 1024 * 1024

/** First rows of a file, as people read them. */
export interface SampleRows {
  names: string[]
  rows: (string | null)[][]
}

/** The first rows of the first file that has any; undefined where none has, or the first are too large to be fetched for that. */
export async function sampleRows(
  store: DropStore,
  options: DropOptions,
  count: number,
  signal: AbortSignal,
): Promise<SampleRows | undefined> {
  const files = await goodFiles(store, options, signal)
  const spool = new Spool()
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  try {
    for (const file of files.filter(({ size }) => size <= MAX_FILE_BYTES)) {
      signal.throwIfAborted()
      const folder = join(spool.folder, randomUUID())
      mkdirSync(folder)
      const members = membersOf({ store, folder }, options, file, () => readAll(store, file))
      try {
        for await (const member of members) {
          const sample = await sampleOf(duck, folder, options, member, count)
          if (sample && sample.rows.length > 0) return sample
        }
      } catch (error) {
        // The run says it of the file, and may have the memory that was wanting here.
        if (!(error instanceof BadFile) && !isOutOfMemory(error)) throw error
      }
    }
    return undefined
  } finally {
    duck.close()
    spool.remove()
  }
}

async function sampleOf(
  duck: Duck,
  folder: string,
  options: DropOptions,
  { where, format, path, bytes }: Unpacked,
  count: number,
): Promise<SampleRows | undefined> {
  if (format === 'parquet' || format === 'arrow') {
    const whole = await path()
    const readable =
      format === 'arrow' ? arrowParquet(where, whole, folder) : readablePaths(duck, where, whole, folder)
    for await (const each of readable) return shownRows(await firstRows(duck, where, each, count))
    return undefined
  }
  const source = bytes()
  const text = await openText(where, source, textFormat(options, format), undefined)
  if (!text) return undefined
  try {
    return await textRows(duck, folder, text, count)
  } finally {
    await source.return(undefined)
  }
}

async function textRows(
  duck: Duck,
  folder: string,
  text: TextFile,
  count: number,
): Promise<SampleRows | undefined> {
  let sample: SampleRows | undefined
  const spool = new RowSpool(folder, async path => {
    if (path === undefined) return
    const names = (text.names ?? text.found().names).filter(name => name !== '')
    const layout = text.names ? text.layout : jsonLayout(names)
    const columns = names.map((name, index) => `${layout.text(name)} AS c${index}`).join(', ')
    if (names.length === 0) return
    const found = await duck.rows(`SELECT ${columns} FROM ${layout.from(path)} ORDER BY _line`)
    sample = { names, rows: shownRows(found).rows }
  })
  const enough = new Error('enough rows')
  let rows = 0
  try {
    await text.read({
      row: (source, from, to, line) => {
        spool.add(0, line, text.layout.separator, source, from, to)
        if (++rows >= count) throw enough
      },
      bad: () => {},
      reserve: async () => {},
    })
  } catch (error) {
    if (error !== enough) throw error
  }
  await spool.flush('all')
  return sample
}

function shownRows(found: Record<string, unknown>[]): SampleRows {
  const names = Object.keys(found[0] ?? {})
  return { names, rows: found.map(row => names.map(name => row[name] as string | null)) }
}
