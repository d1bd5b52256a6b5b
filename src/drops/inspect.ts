import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Duck } from '../../engine/sql/duckdb.ts'
import { badFile } from '../formats/bad.ts'
import { MOST_KEYS } from '../formats/jsonRecord.ts'
import { openParquet, parquetTypes, readablePaths } from '../formats/parquet.ts'
import { arrowParquet } from '../formats/reader.ts'
import { openText } from '../formats/textFile.ts'
import type { Taken } from './cursor.ts'
import { membersOf } from './members.ts'
import { type DropOptions, textFormat } from './options.ts'
import { readAll } from './ranged.ts'
import type { DropStore } from './store.ts'
import type { ValueReader } from './values.ts'

/** What a file, or one of an archive, says of its columns. */
export interface FileNames {
  file: Taken
  /** For messages: `orders.zip july.csv`. */
  name: string
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
 * Reads what a file's columns are: a header, a footer, or all keys; with `values`, every value of those columns, which
 * then wait there. An archive has as many as it has files; one without a line has none.
 */
export async function inspect(
  means: InspectMeans,
  options: DropOptions,
  file: Taken,
  values?: ValueReader,
): Promise<FileNames[]> {
  // Made where something is to be put there: for ten thousand small files it would cost more than reading them.
  const folder = join(means.folder, randomUUID())
  const { duck, store } = means
  const found: FileNames[] = []
  try {
    for await (const member of membersOf({ store, folder }, options, file, () => readAll(store, file))) {
      const { where, name, format } = member
      if (format === 'parquet' || format === 'arrow') {
        const path = await member.path()
        mkdirSync(folder, { recursive: true })
        const paths =
          format === 'arrow' ? arrowParquet(where, path, folder) : readablePaths(duck, where, path, folder)
        let one: FileNames | undefined
        for await (const each of paths) {
          const parquet = await openParquet(duck, where, name, each)
          const own = await parquetTypes(duck, parquet, folder)
          one ??= { file, name, names: [...parquet.columns.keys()], sparse: false }
          one.own = { ...own, ...one.own }
        }
        if (one) found.push(one)
      } else {
        const bytes = member.bytes()
        const text = await openText(where, bytes, textFormat(options, format), undefined)
        if (!text) continue
        if (values) await values.read(where, text)
        else if (!text.names) await text.read({ row: () => {}, bad: () => {}, reserve: async () => {} })
        // The rest of it is not read.
        await bytes.return(undefined)
        const { names, emptyAt, tooMany } = text.found()
        if (tooMany && values?.all)
          throw badFile(
            where,
            `its records have more than ${MOST_KEYS} different keys, which are data, not names of columns`,
            undefined,
            'DECODE_FAILED',
            'Name the columns that are wanted: schema: { id: BIGINT, … } in this extract.',
          )
        if (emptyAt !== undefined && values?.all)
          throw badFile(
            where,
            `line ${emptyAt}: a key is empty`,
            undefined,
            'DECODE_FAILED',
            'Name the columns that are wanted: schema: { id: BIGINT, … } in this extract.',
          )
        found.push({ file, name, names: names.filter(each => each !== ''), sparse: !text.names })
      }
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
