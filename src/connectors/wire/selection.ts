import type { TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { didYouMean } from '../../../engine/nearest.ts'
import { ownValue } from '../../../engine/ownValue.ts'

/** What of a table is read, as `selectionKeys.ts` takes it. */
export interface Selection {
  /** Absent where there is a query. */
  table?: string | undefined
  query?: string | undefined
  where?: string | undefined
  select?: string[] | undefined
  omit?: string[] | undefined
  rename?: Record<string, string> | undefined
}

/** Fails with CONFIG_INVALID where two columns that a query gives have one name. */
export function distinctNames(where: string, columns: { name: string }[]): void {
  const seen = new Set<string>()
  for (const { name } of columns) {
    const same = name.toLowerCase()
    if (seen.has(same))
      throw new EngineError('CONFIG_INVALID', `${where}: its query gives two columns called ${name}`, {
        hint: 'Name one of them otherwise: … AS another_name.',
      })
    seen.add(same)
  }
}

/** SQL of what is read: the table, or the query as one. Either stands after FROM. */
export const relation = ({ table, query }: Selection, quoteTable: (name: string) => string): string =>
  query === undefined ? quoteTable(table!) : `(${query}\n) AS source_query`

/** A condition that stands for itself among others, whatever comment it ends with. */
export const conditionOf = ({ where }: Selection): string[] => (where === undefined ? [] : [`(${where}\n)`])

/**
 * The table with the columns that are read of it, under the job's names. Fails with COLUMN_MISSING on a name that is none
 * of them, and with CONFIG_INVALID where a column of its key is not among them, or two would have one name.
 */
export function narrowed(where: string, schema: TableSchema, selected: Selection): TableSchema {
  const { select, omit = [], rename = {} } = selected
  const names = schema.columns.map(({ name }) => name)
  for (const name of [...(select ?? []), ...omit, ...Object.keys(rename)])
    if (!names.includes(name))
      throw new EngineError(
        'COLUMN_MISSING',
        `${where}: ${name} is not a column of the table${didYouMean(name, names)}`,
        { hint: `Its columns: ${names.join(', ')}.` },
      )
  const kept = schema.columns.filter(({ name }) => (select?.includes(name) ?? true) && !omit.includes(name))
  const lost = schema.key.filter(name => !kept.some(column => column.name === name))
  if (lost.length > 0)
    throw new EngineError('CONFIG_INVALID', `${where}: ${lost.join(', ')} is of the key, and is not read`, {
      hint: 'Rows are told apart by it: select it, too, or take it out of omit.',
    })
  return renamed(where, { ...schema, columns: kept }, rename)
}

/** What the job calls a column of the source. */
export const nameIn = ({ rename }: Pick<Selection, 'rename'>, column: string): string =>
  ownValue(rename, column) ?? column

/** The table under the job's names for its columns. */
function renamed(where: string, schema: TableSchema, rename: Record<string, string>): TableSchema {
  if (Object.keys(rename).length === 0) return schema
  const to = (name: string) => nameIn({ rename }, name)
  const { structure } = schema
  const columns = schema.columns.map(column =>
    to(column.name) === column.name ? column : { ...column, name: to(column.name), sourceName: column.name },
  )
  const twice = columns.find(({ name }, index) =>
    columns.slice(0, index).some(other => other.name.toLowerCase() === name.toLowerCase()),
  )
  if (twice)
    throw new EngineError('CONFIG_INVALID', `${where}: rename gives two columns the name ${twice.name}`, {
      hint: 'Rename the other, too, or leave it out: omit.',
    })
  return {
    ...schema,
    columns,
    key: schema.key.map(to),
    ...(structure && {
      structure: {
        ...structure,
        indexes: structure.indexes.map(index => ({ ...index, columns: index.columns.map(to) })),
        references: structure.references.map(each => ({ ...each, columns: each.columns.map(to) })),
      },
    }),
  }
}

/** Asks the server whether a condition can be, by `ask`. Fails with CONFIG_INVALID and what it says. */
export async function checkCondition(
  where: string,
  extract: string,
  selected: Selection,
  ask: (condition: string) => Promise<unknown>,
): Promise<void> {
  const [condition] = conditionOf(selected)
  if (condition === undefined) return
  try {
    // Alone, too: "a) OR (b" is none, though it is one in parentheses.
    for (const each of [`${selected.where}\n`, condition]) await ask(each)
  } catch (error) {
    if (!(error instanceof EngineError) || error.retryable || error.code === 'PERMISSION_DENIED') throw error
    throw new EngineError('CONFIG_INVALID', `extract.${extract}.where: ${error.message}`, {
      cause: error,
      hint: `It is a condition in the SQL of ${where}: where: "status <> 'void'".`,
    })
  }
}
