import type { Known } from './fanOut.ts'
import type { SqlGraph } from './model.ts'
import type { SqlNode } from './parse.ts'
import { nodesIn, sideOf } from './selects.ts'

/**
 * The keys of tables, and of models that pass rows of one such table on as they are: all of them, with its key. A model that
 * leaves rows out has the key, too, but may have one row where the table has many: nothing is said of it.
 */
export function passedOnKeys(
  { models, queries }: Pick<SqlGraph, 'models' | 'queries'>,
  { columns, keys }: Pick<Known, 'columns' | 'keys'>,
): Known['keys'] {
  const known = new Map(keys)
  const tables = [...columns.keys()]
  for (const { name, file } of models) {
    const top = (queries.get(file)?.tree.statements as { node?: SqlNode }[] | undefined)?.[0]?.node
    if (known.has(name) || !top || !passesAllOn(top)) continue
    const { table } = sideOf(top.from_table as SqlNode, new Set(), tables)
    const key = table === undefined ? undefined : known.get(table)
    const names = key?.map(column => nameOf(column, top.select_list as SqlNode[]))
    if (names?.every(given => given !== undefined)) known.set(name, names)
  }
  return known
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
