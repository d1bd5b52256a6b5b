import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import type { ExtractSpec, LastRead } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import type { Column } from '../../engine/types/logical.ts'
import { BadFile } from '../formats/bad.ts'
import { TypeFinder } from '../formats/inferTypes.ts'
import { styleOf } from '../formats/textFormat.ts'
import { columnsOf } from './columns.ts'
import type { DropCursor, Taken } from './cursor.ts'
import { type FileNames, inspect } from './inspect.ts'
import { type DropOptions, textFormat } from './options.ts'
import { select } from './select.ts'
import { Spool } from './spool.ts'
import type { DropStore } from './store.ts'
import { ValueReader } from './values.ts'

/** Files whose headers are read at a time. */
const AT_ONCE = 8
const MEMORY = 256 * 1024 * 1024

/**
 * The columns of a drop that declares none: those of the last run, and those that its new files bring. A column of text
 * that is new has the type that all of its values are found to have; so on a first night every file is read once for that.
 * Fails with TABLE_MISSING where no file tells a column, and with SCHEMA_DRIFT.
 */
export async function inferColumns(
  store: DropStore,
  { from, name, key, drift, options: asked }: ExtractSpec,
  cursor: DropCursor,
  last: LastRead | undefined,
  signal: AbortSignal,
): Promise<Column[]> {
  const options = asked as DropOptions
  const where = `${from}.${name}`
  const { files } = await select(store, where, { ...options, settle: 0 }, cursor, '', signal)
  const readable = files.filter(({ bad }) => bad === undefined)
  const spool = new Spool()
  const folder = mkdtempSync(join(spool.folder, 'infer-'))
  const duck = await Duck.open({ threads: 1, memory: MEMORY })
  try {
    const means = { store, duck, folder }
    let failure: unknown
    const look = async (file: Taken, values?: ValueReader) => {
      try {
        return await inspect(means, options, file, values)
      } catch (error) {
        // The run says it of the file, and leaves it out where it may.
        if (!(error instanceof BadFile)) throw error
        failure ??= error
        return []
      }
    }
    const known = last?.columns.filter(column => !last.absent.includes(column.name))
    const finder = new TypeFinder(styleOf(textFormat(options, 'csv')))
    const found: FileNames[] = []
    if (!last) {
      const values = new ValueReader(duck, folder, finder)
      for (const file of readable) found.push(...(await look(file, values)))
      await values.finish()
    } else {
      found.push(...(await inOrder(readable, file => look(file))).flat())
      const has = new Set(last.columns.map(column => column.name))
      const fresh = new Set(
        found.flatMap(({ names, own }) => (own ? [] : names.filter(name => !has.has(name)))),
      )
      const values = new ValueReader(duck, folder, finder, fresh)
      const bringing = found.filter(({ names }) => names.some(name => fresh.has(name)))
      for (const file of new Set(bringing.map(({ file }) => file))) await look(file, values)
      await values.finish()
    }
    if (!last && found.every(({ names }) => names.length === 0)) {
      if (failure !== undefined) throw failure
      throw new EngineError(
        'TABLE_MISSING',
        `${where}: no file ${files.length === 0 ? 'is there' : 'with a header or a row is there'} to infer its columns from`,
        { hint: 'Declare them: schema: { member_id: BIGINT, … }, or check files:.' },
      )
    }
    return columnsOf({
      where,
      extract: name,
      files: found,
      ...(known && { last: known }),
      key,
      accumulates: options.take === 'new',
      policy: drift ?? {},
      quarantine: options.on_bad_file === 'quarantine',
      types: { ...finder.types(), ...typesOf(last) },
    })
  } finally {
    duck.close()
    spool.remove()
  }
}

// A column that was gone and is back has the type it had.
function typesOf(last: LastRead | undefined) {
  return Object.fromEntries(
    (last?.columns ?? []).map(({ name, native, wire }) => [
      name,
      { type: native, ...(wire !== undefined && (JSON.parse(wire) as { notation?: string })) },
    ]),
  )
}

async function inOrder<Item, Result>(items: Item[], act: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const work = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await act(items[index]!)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return results
}
