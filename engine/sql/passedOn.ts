import type { Described } from './checkColumns.ts'
import type { Known } from './fanOut.ts'
import type { SqlGraph } from './model.ts'
import { outputName, type SqlNode, topOf } from './parse.ts'
import { nodesIn, selectsIn, sideOf } from './selects.ts'

type Keyed = Pick<Known, 'columns' | 'keys'>

/**
 * The keys of tables, and of models that pass rows of one such table on as they are: all of them, with its key. A model that
 * leaves rows out has the key, too, but may have one row where the table has many: nothing is said of it.
 */
export function passedOnKeys(
  { models, queries }: Pick<SqlGraph, 'models' | 'queries'>,
  { columns, keys }: Keyed,
): Known['keys'] {
  const known = new Map(keys)
  for (const { name, file } of models) {
    const top = topOf(queries.get(file)?.tree)
    const key = known.has(name) || !top ? undefined : passedOn(top, { columns, keys: known })?.key
    if (key) known.set(name, key)
  }
  return known
}

/** The same with the queries of a WITH that pass a table's rows on; those that are defined once in the query. */
export function withPassingCtes(top: SqlNode, known: Known): { known: Known; passing: ReadonlySet<string> } {
  const ctes = top.cte_map?.map ?? []
  const names = [...selectsIn(top)].flatMap(({ node }) => (node.cte_map?.map ?? []).map(({ key }) => key))
  const [columns, keys] = [new Map(known.columns), new Map(known.keys)]
  const rows = new Map(known.rows)
  const passing = new Set<string>()
  for (const { key: name, value } of ctes) {
    const node = value.query?.node
    if (!node || names.filter(each => each.toLowerCase() === name.toLowerCase()).length > 1) continue
    const passed = passedOn(node, { columns, keys })
    if (!passed) continue
    columns.set(name, passed.columns)
    keys.set(name, passed.key)
    rows.delete(name)
    passing.add(name.toLowerCase())
  }
  return { known: { ...known, columns, keys, rows }, passing }
}

/** What a SELECT of all rows of one keyed table gives; undefined where it is none, or leaves a part of the key out. */
function passedOn(
  top: SqlNode,
  { columns, keys }: Keyed,
): { key: string[]; columns: Described[] } | undefined {
  if (!passesAllOn(top)) return undefined
  const { table } = sideOf(top.from_table as SqlNode, new Set(), [...columns.keys()])
  const own = table === undefined ? undefined : keys.get(table)
  const outputs = top.select_list as SqlNode[]
  const key = own?.map(column => nameOf(column, outputs))
  if (!key?.every(name => name !== undefined)) return undefined
  const all = columns.get(table!)!
  const given = outputs.flatMap(output =>
    output.type === 'STAR' ? all : [{ name: outputName(output) ?? '', type: '' }],
  )
  return { key, columns: given }
}

const passesAllOn = ({ type, cte_map, modifiers, ...parts }: SqlNode): boolean =>
  type === 'SELECT_NODE' &&
  parts.aggregate_handling === 'STANDARD_HANDLING' &&
  (cte_map?.map ?? []).length === 0 &&
  (modifiers as unknown[]).length === 0 &&
  (parts.group_expressions as unknown[]).length === 0 &&
  ['where_clause', 'having', 'qualify', 'sample'].every(clause => !parts[clause]) &&
  ![...nodesIn(parts.select_list)].some(({ function_name: name = '' }) => /^un(nest|list)$/i.test(name))

/** What a SELECT calls a column of its table; undefined where it gives it changed, or not at all. */
function nameOf(column: string, outputs: SqlNode[]): string | undefined {
  const low = column.toLowerCase()
  for (const output of outputs) {
    if (output.type === 'COLUMN_REF' && output.column_names!.at(-1)!.toLowerCase() === low)
      return output.alias || column
    if (output.type === 'STAR' && isWhole(output)) return column
  }
  return undefined
}

/** Whether a star gives all columns under their names. */
const isWhole = ({
  columns,
  exclude_list,
  qualified_exclude_list,
  replace_list,
  rename_list,
  expr,
}: SqlNode) =>
  columns === false &&
  !expr &&
  [exclude_list, qualified_exclude_list, replace_list, rename_list].every(
    list => !list || (list as unknown[]).length === 0,
  )
