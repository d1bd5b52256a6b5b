import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Duck } from '../../engine/sql/duckdb.ts'
import { arrowParquet } from '../formats/arrow.ts'
import { inferTypes } from '../formats/inferTypes.ts'
import { jsonLayout } from '../formats/json.ts'
import { modelType, parquetTypes } from '../formats/parquet.ts'
import { RowSpool } from '../formats/rowSpool.ts'
import type { RowSink } from '../formats/split.ts'
import { openText, type TextFile, type TextFormat } from '../formats/textFile.ts'
import type { Taken } from './cursor.ts'
import { membersOf } from './lane.ts'
import type { DropOptions } from './options.ts'
import { readAll } from './ranged.ts'
import type { DropStore } from './store.ts'

/** Column → DuckDB type of a file by its first rows, or its own word; undefined for a file without a row. */
export async function infer(
  store: DropStore,
  spool: string,
  options: DropOptions,
  file: Taken,
): Promise<Record<string, string> | undefined> {
  const folder = join(spool, randomUUID())
  mkdirSync(folder)
  const duck = await Duck.open({ threads: 1 })
  try {
    for await (const member of membersOf({ store, folder }, options, file, () => readAll(store, file))) {
      const { where } = member
      if (options.format === 'parquet') return own(await parquetTypes(duck, where, await member.path()))
      if (options.format === 'arrow') {
        for await (const path of arrowParquet(where, member.bytes(), folder))
          return own(await parquetTypes(duck, where, path))
        continue
      }
      const text = await openText(where, member.bytes(), options as TextFormat, undefined)
      const types = text && (await sample(duck, folder, text))
      if (types) return types
    }
    return undefined
  } finally {
    duck.close()
  }
}

function own(types: Map<string, string>): Record<string, string> {
  return Object.fromEntries([...types].map(([name, native]) => [name, modelType(native)]))
}

/** Ends the reading of a sample. */
class Enough extends Error {}

async function sample(
  duck: Duck,
  folder: string,
  text: TextFile,
): Promise<Record<string, string> | undefined> {
  let types: Record<string, string> | undefined
  const spool = new RowSpool(folder, async path => {
    if (path === undefined) return
    const { layout } = text
    const names = text.names ?? (await keysOf(duck, layout.from(path)))
    const named = text.names ? layout : jsonLayout(names)
    types = await inferTypes(duck, named.from(path), names, name => named.text(name)!)
  })
  let rows = 0
  const sink: RowSink = {
    row: (source, from, to, line) => {
      rows++
      spool.add(0, line, text.layout.separator, source, from, to)
    },
    bad: () => {},
    reserve: async bytes => {
      if (rows > 0 && !spool.fits(bytes * 8)) throw new Enough()
    },
  }
  try {
    await text.read(sink)
  } catch (error) {
    // What is wrong further on is for the run to say.
    if (rows === 0 && !(error instanceof Enough)) throw error
  }
  await spool.flush('all')
  return types
}

async function keysOf(duck: Duck, from: string): Promise<string[]> {
  const rows = await duck.rows(
    `SELECT key FROM (SELECT unnest(json_keys(c1)) AS key, _line FROM ${from} WHERE json_valid(c1) AND json_type(c1) = 'OBJECT') GROUP BY key ORDER BY min(_line), key`,
  )
  return rows.map(row => String(row.key))
}
