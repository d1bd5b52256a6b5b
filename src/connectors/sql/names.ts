import { nameIn } from '../../../engine/sql/text.ts'
import { isNamed } from '../../../engine/types/logical.ts'

/** The parts of `table`, `schema.table` or `"odd.schema"."table"`; a part that is not quoted is taken as written. */
export function nameParts(table: string): string[] {
  const parts = table.match(/"(?:[^"]|"")*"|[^".]+/g) ?? [table]
  return parts.map(nameIn)
}

/** Whether a name is among others; letters of another case are taken for the same, as some servers do. */
export const hasName = (names: string[], name: string) => names.some(each => isNamed(each, name))
