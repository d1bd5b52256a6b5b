import { matchesGlob } from 'node:path'
import type { ListedTable } from '../../engine/contracts/source.ts'

/** A name as a path of one part, which does not begin with a dot: no sign in it parts it from what * stands for. */
const onePart = (text: string) => `_${text.replaceAll('/', '\u{e000}')}`

const matches = (name: string, glob: string) => matchesGlob(onePart(name), onePart(glob))

/** What a table is known by. */
export type TableName = Pick<ListedTable, 'name' | 'bare' | 'schema' | 'isView'>

/** Whether one of these globs is a table's name: `orders`, `sales.orders`. A view has to be named in full. */
export const isNamed = (globs: readonly string[], { name, bare, schema, isView }: TableName): boolean =>
  globs.some(glob =>
    [bare, name, `${schema}.${bare}`].some(each => each === glob || (!isView && matches(each, glob))),
  )

/** Whether the name of an extract or a load stands for many. */
export const isWildcard = (name: string): boolean => /[*?]/.test(name)

/** Tables that are asked for, of what a source lists: those that `tables` names (none: all), but for those of `exclude`. */
export const tablesAmong = (
  listed: readonly ListedTable[],
  { tables, exclude }: { tables: readonly string[]; exclude: readonly string[] },
): ListedTable[] =>
  listed.filter(table => isNamed(tables.length > 0 ? tables : ['*'], table) && !isNamed(exclude, table))

/** Views that would be asked for if they were tables, and are left out: nobody has named them in full. */
export const viewsLeft = (
  listed: readonly ListedTable[],
  { tables, exclude }: { tables: readonly string[]; exclude: readonly string[] },
): ListedTable[] =>
  listed.filter(view => {
    const globs = tables.length > 0 ? tables : ['*']
    const { isView, ...asTable } = view
    return isView && !isNamed(globs, view) && isNamed(globs, asTable) && !isNamed(exclude, asTable)
  })

/** What would part a name in two where a target reads it: `a.b` is b in a schema a. */
const STEERING = /[."`]/

/** A table of a catalogue, with names that no other of them has. */
export interface NamedTable {
  table: ListedTable
  /** For models. */
  extract: string
  /** In a target. */
  target: string
}

/** Names tables after themselves, and after their schemas, too, where two have one name and are not found by it alone. */
export function nameTables(tables: readonly ListedTable[], taken: Iterable<string> = []): NamedTable[] {
  const names = new Set([...taken].map(name => name.toLowerCase()))
  const bare = Map.groupBy(tables, table => table.bare.toLowerCase())
  return tables.map(table => {
    const isAlone = bare.get(table.bare.toLowerCase())!.length === 1
    const wanted = identifierOf(isAlone ? table.bare : table.name) || 'table'
    let extract = wanted
    for (let n = 2; names.has(extract.toLowerCase()); n++) extract = `${wanted}_${n}`
    names.add(extract.toLowerCase())
    return { table, extract, target: isAlone && !STEERING.test(table.bare) ? table.bare : extract }
  })
}

/** A name as a table of models may have it; empty where nothing of it is left. */
export const identifierOf = (name: string): string =>
  name
    .replace(/[^A-Za-z0-9_]+/g, '_')
    .replace(/^(\d)/, '_$1')
    .replace(/^_+$/, '')
