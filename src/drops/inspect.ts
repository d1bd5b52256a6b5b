import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { counted } from '../../engine/plural.ts'
import type { Duck } from '../../engine/sql/duckdb.ts'
import { badFile, NOT_UTF8 } from '../formats/bad.ts'
import type { TypeFinder } from '../formats/inferTypes.ts'
import { jsonLayout } from '../formats/json.ts'
import { MOST_KEYS } from '../formats/jsonRecord.ts'
import { openParquet, parquetTypes, readablePaths } from '../formats/parquet.ts'
import { arrowParquet } from '../formats/reader.ts'
import { RowSpool } from '../formats/rowSpool.ts'
import type { RowSink } from '../formats/split.ts'
import { openText } from '../formats/textFile.ts'
import type { TextFile } from '../formats/textFormat.ts'
import type { Taken } from './cursor.ts'
import { membersOf } from './members.ts'
import { type DropOptions, textFormat } from './options.ts'
import { readAll } from './ranged.ts'
import type { DropStore } from './store.ts'

/** What a file says of its columns. */
export interface FileNames {
  file: Taken
  /** In the order they came. */
  names: string[]
  /** Of a format with types of its own: DuckDB type per column. */
  own?: Record<string, string>
  /** Whether a column may be missing from all of its rows without being gone. */
  sparse: boolean
}

export interface InspectMeans {
  store: DropStore
  duck: Duck
  folder: string
}

/**
 * Reads what a file's columns are: a header, a footer, or all keys; with a `finder`, every value of those columns
 * (`only`, or all). Undefined for a file without a line.
 */
export async function inspect(
  means: InspectMeans,
  options: DropOptions,
  file: Taken,
  finder?: TypeFinder,
  only?: Set<string>,
): Promise<FileNames | undefined> {
  const folder = join(means.folder, randomUUID())
  mkdirSync(folder)
  const { duck, store } = means
  let found: FileNames | undefined
  const add = (names: string[], own?: Record<string, string>, sparse = false) => {
    found ??= { file, names: [], sparse }
    found.names.push(...names.filter(name => !found!.names.includes(name)))
    if (own) found.own = { ...own, ...found.own }
  }
  try {
    for await (const member of membersOf({ store, folder }, options, file, () => readAll(store, file))) {
      const { where, name, format } = member
      if (format === 'parquet' || format === 'arrow') {
        const path = await member.path()
        const paths =
          format === 'arrow' ? arrowParquet(where, path, folder) : readablePaths(duck, where, path, folder)
        for await (const each of paths) {
          const parquet = await openParquet(duck, where, name, each)
          add([...parquet.columns.keys()], await parquetTypes(duck, parquet, folder))
        }
      } else {
        const bytes = member.bytes()
        const text = await openText(where, bytes, textFormat(options, format), undefined)
        if (!text) continue
        if (finder) await values(duck, folder, where, text, finder, only)
        else if (!text.names) await text.read({ row: () => {}, bad: () => {}, reserve: async () => {} })
        // The rest of it is not read.
        await bytes.return(undefined)
        const { names, emptyAt, tooMany } = text.found()
        if (tooMany && finder && !only)
          throw badFile(
            where,
            `its records have more than ${MOST_KEYS} different keys, which are data, not names of columns`,
            undefined,
            'DECODE_FAILED',
            'Name the columns that are wanted: schema: { id: BIGINT, … } in this extract.',
          )
        if (emptyAt !== undefined && finder && !only)
          throw badFile(
            where,
            `line ${emptyAt}: a key is empty`,
            undefined,
            'DECODE_FAILED',
            'Name the columns that are wanted: schema: { id: BIGINT, … } in this extract.',
          )
        add(
          names.filter(name => name !== ''),
          undefined,
          !text.names,
        )
      }
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function values(
  duck: Duck,
  folder: string,
  where: string,
  text: TextFile,
  finder: TypeFinder,
  only: Set<string> | undefined,
): Promise<void> {
  const wanted = (names: string[]) => names.filter(name => name !== '' && (only?.has(name) ?? true))
  finder.see(wanted(text.names ?? []))
  const spool = new RowSpool(folder, async path => {
    if (path === undefined) return
    const names = wanted(text.names ?? text.found().names)
    if (names.length === 0 && !text.names) await countFaults(path)
    const layout = text.names ? text.layout : jsonLayout(names)
    await finder.add(duck, layout.from(path), names, name => layout.text(name)!, layout.emptyIsText ?? false)
  })
  let rows = 0
  let bad = 0
  let first = ''
  // Without a key, nothing was JSON, or all objects are empty.
  async function countFaults(path: string): Promise<void> {
    const { from, rowFault } = jsonLayout([''])
    const faults = `(SELECT _line, ${rowFault!.reason} AS reason FROM ${from(path)})`
    const [found] = await duck.rows(
      `SELECT count(reason) AS bad, min(_line) AS line, arg_min(reason, _line) AS reason FROM ${faults} WHERE reason IS NOT NULL`,
    )
    if (Number(found!.bad) > 0 && bad === 0) first = `line ${found!.line} ${found!.reason}`
    bad += Number(found!.bad)
    rows -= Number(found!.bad)
  }
  const sink: RowSink = {
    row: (source, from, to, line) => {
      rows++
      spool.add(0, line, text.layout.separator, source, from, to)
    },
    // What is wrong with a row is for the run to say, where others are right.
    bad: (_raw, line, reason) => {
      if (bad++ === 0) first = `line ${line} ${reason}`
    },
    reserve: async bytes => {
      if (!spool.fits(bytes * 8)) await spool.flush('all')
    },
  }
  await text.read(sink)
  await spool.flush('all')
  if (rows === 0 && bad > 0)
    throw badFile(
      where,
      `none of its ${counted(bad, 'row')} can be read: ${first}${bad > 1 ? ', …' : ''}`,
      undefined,
      'DECODE_FAILED',
      /is not UTF-8$/.test(first)
        ? NOT_UTF8
        : / has \d+ fields?,/.test(first)
          ? 'Where lines stand before its header, write skip: 1 (so many as there are) in this extract; else check delimiter, quote and header.'
          : undefined,
    )
}
