import { basename } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { identifierOf, tablesAmong } from '../config/tableNames.ts'
import { type FoundFile, lookAtFiles } from '../copy/files.ts'
import type { CopySource } from '../copy/request.ts'
import { type FileKeys, optionsOf, readSet } from '../copy/set.ts'
import type { Taken } from '../drops/cursor.ts'
import { literalGlob } from '../drops/glob.ts'
import type { DropSource } from '../drops/source.ts'
import { type FileGroup, groupFiles } from './fileGroups.ts'
import type { SurveyedTable } from './survey.ts'

/** Bytes of files whose values are all looked at for a table's types; of a larger one, those of its first file. */
const LOOKED_AT = 64 * 1024 * 1024

export interface FilesSurvey {
  tables: SurveyedTable[]
  /** Files that are in no table, with the reason: nothing is left out unsaid. */
  left: { name: string; why: string }[]
}

/**
 * Looks at files, or at all that a folder holds: which make a table together, how they are written, their columns. Fails with
 * TABLE_MISSING where there are none, and with CONFIG_INVALID where it cannot be known how they are written.
 */
export async function surveyFiles(
  source: DropSource<unknown>,
  { url, files: typed }: CopySource,
  { tables, exclude, set }: { tables: string[]; exclude: string[]; set: string[] },
  signal: AbortSignal,
): Promise<FilesSurvey> {
  const files = typed === undefined ? undefined : await source.globOf(typed)
  const entries = await source.matching(optionsOf([files ?? '**/*'], {}), signal)
  const byName = new Map(entries.map(entry => [entry.name, entry]))
  const names = [...byName.keys()]
  const { groups, skipped } =
    files === undefined
      ? groupFiles(names, basename(url.replace(/[?#].*$/, '')))
      : { groups: [namedGroup(typed!, files, names)], skipped: [] }
  const listed = groups.map(({ table }) => ({ name: table, bare: table, schema: '', key: [], indexed: [] }))
  const wanted = new Set(tablesAmong(listed, { tables, exclude }).map(({ name }) => name))
  const chosen = groups.filter(({ table }) => wanted.has(table))
  const keysOf = readSets(
    set,
    chosen.map(({ table }) => table),
  )
  const left = skipped.map(name => ({ name, why: 'no format has that ending' }))
  const surveyed: SurveyedTable[] = []
  for (const group of chosen) {
    const members = group.names.map(name => byName.get(name)!)
    const table = await surveyGroup(source, group, members, keysOf(group.table), signal).catch(error => {
      throw chosen.length > 1 ? ofTable(error, group.table) : error
    })
    if (table) surveyed.push(table)
    else left.push(...group.names.map(name => ({ name, why: 'it is empty' })))
  }
  return { tables: surveyed, left }
}

function namedGroup(typed: string, files: string, names: string[]): FileGroup {
  if (names.length === 0)
    throw new EngineError('TABLE_MISSING', `SRC: no file is called ${typed}`, { hint: 'Check the path.' })
  const table = identifierOf(
    basename(typed)
      .split('.')[0]!
      .replace(/[*?[\]{}]/g, ''),
  )
  return { table: table || 'files', files: [files], names: names.toSorted() }
}

async function surveyGroup(
  source: DropSource<unknown>,
  { table, files: globs }: FileGroup,
  files: Taken[],
  set: FileKeys,
  signal: AbortSignal,
): Promise<SurveyedTable | undefined> {
  const { keys, found } = await lookAtFiles(source, globs, set, signal)
  if (!found) return undefined
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  const columnsIn = async (some: Taken[]) => {
    const options = optionsOf(
      some.map(({ name }) => literalGlob(name)),
      keys,
    )
    const spec = { name: table, from: 'source', key: [], columns: {}, options }
    return (await source.describe(spec, signal)).columns
  }
  const first = [files.find(({ size }) => size > 0)!]
  const looked = bytes <= LOOKED_AT ? files : first
  let typed = looked.length
  const notes = [...found.notes]
  const columns = await columnsIn(looked).catch((error: unknown) => {
    if (!(error instanceof EngineError) || error.code !== 'SCHEMA_DRIFT' || looked.length === 1) throw error
    // The job is written all the same: what is to become of them is for its owner to say.
    notes.push(error.message, ...(error.hint === undefined ? [] : [error.hint]))
    typed = 1
    return columnsIn(first)
  })
  return {
    extract: table,
    table,
    key: [],
    columns,
    files: {
      globs,
      keys,
      found: { ...found, types: typesOf(columns, found), notes },
      count: files.length,
      bytes,
      typed,
    },
  }
}

const typesOf = (columns: Column[], { names = [] }: FoundFile) =>
  names.map(name => {
    const column = columns.find(each => each.name === name)
    return column ? typeName(column.type) : ''
  })

/**
 * Reads `KEY=VALUE` and `TABLE.KEY=VALUE`; gives the keys of each table. Fails with CONFIG_INVALID where it is not said which
 * of several tables is meant: one is seldom written as another.
 */
function readSets(pairs: string[], tables: string[]): (table: string) => FileKeys {
  const [first = ''] = tables
  const parts = pairs.map(pair => /^(?:(\w+)\.)?(.*)$/s.exec(pair)!)
  for (const [pair, table] of parts) {
    if (table === undefined && tables.length > 1)
      throw new EngineError('CONFIG_INVALID', `--set ${pair}: which of ${tables.join(', ')} is written so?`, {
        hint: `Name it: --set ${first}.${pair}`,
      })
    if (table !== undefined && !tables.includes(table))
      throw new EngineError(
        'CONFIG_INVALID',
        `--set ${pair}: no table is called ${table}${didYouMean(table, tables)}`,
        {
          hint: `Tables of these files: ${tables.join(', ')}.`,
        },
      )
  }
  const ofEach = Map.groupBy(parts, ([, table]) => table ?? first)
  return table => readSet((ofEach.get(table) ?? []).map(([, , pair]) => pair!))
}

/** What was said of the files of one table among others: its flags name the table. */
function ofTable(error: unknown, table: string): unknown {
  if (!(error instanceof EngineError)) return error
  const said = error.hint === undefined ? '' : `${error.hint.replaceAll('--set ', `--set ${table}.`)} `
  return new EngineError(error.code, error.message, {
    cause: error,
    hint: `${said}Or leave them out: --exclude ${table}`,
  })
}
