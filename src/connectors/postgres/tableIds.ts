import { nameParts } from '../sql/names.ts'
import type { TargetSession } from './session.ts'

/** What tables of a database are told apart by: their schema, where they are found or would be made, and name. */
export async function tableIds(
  session: TargetSession,
  signal: AbortSignal,
): Promise<(table: string) => string> {
  const { rows } = await session.query(
    `SELECT NULL AS name, current_schema() AS schema
     UNION ALL SELECT c.relname, n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (current_schemas(false)) AND n.nspname <> current_schema()
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid)`,
    [],
    signal,
  )
  const [own, ...further] = rows
  const schemas = new Map(further.map(({ name, schema }) => [name, schema]))
  return table => {
    const path = nameParts(table)
    return JSON.stringify(path.length === 1 ? [schemas.get(path[0]!) ?? own!.schema, ...path] : path)
  }
}
