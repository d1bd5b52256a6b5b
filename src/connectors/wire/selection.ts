import { z } from 'zod'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { didYouMean } from '../../../engine/nearest.ts'

const columns = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform(value => [value].flat())

/** What of a table is read: keys of an extract of a database. */
export const selection = {
  /** A condition in the database's own SQL. */
  where: z.string().min(1).optional(),
  /** The only columns that are read, or those that are not. */
  select: columns.optional(),
  omit: columns.optional(),
}

export interface Selection {
  table: string
  where?: string | undefined
  select?: string[] | undefined
  omit?: string[] | undefined
}

/** A condition that stands for itself among others, whatever comment it ends with. */
export const conditionOf = ({ where }: Selection): string[] => (where === undefined ? [] : [`(${where}\n)`])

/**
 * The table with the columns that are read of it. Fails with COLUMN_MISSING on a name that is none of them, and with
 * CONFIG_INVALID where a column of its key is not among them.
 */
export function narrowed(where: string, schema: TableSchema, { select, omit = [] }: Selection): TableSchema {
  if (select === undefined && omit.length === 0) return schema
  const names = schema.columns.map(({ name }) => name)
  for (const name of [...(select ?? []), ...omit])
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
  return { ...schema, columns: kept }
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
