import { EngineError } from '../errors.ts'
import type { RunContext } from '../runtime/context.ts'
import { unstaged } from '../sql/bind.ts'
import { type Duck, quoteName } from '../sql/duckdb.ts'
import type { SqlGraph } from '../sql/model.ts'
import { usedMacros } from '../sql/order.ts'
import type { SqlFile } from '../sql/parse.ts'
import { stripped } from '../sql/text.ts'
import { type DataSet, goodRows } from '../staging/dataSet.ts'
import { modelColumn, seenSql, stagedType } from '../types/duckType.ts'
import { type Column, typeName } from '../types/logical.ts'

type Session = Pick<RunContext, 'duck' | 'root'>

/** The columns of a query. Fails with TYPE_UNSUPPORTED where one has a type that is not staged. */
export async function columnsOf({ duck }: Session, { file, sql }: SqlFile): Promise<Column[]> {
  const described = await duck.rows(`DESCRIBE ${stripped(sql)}`)
  return described.map(({ column_name, column_type }) => {
    const name = String(column_name)
    const type = String(column_type)
    if (stagedType(type) === undefined) {
      const { message, hint } = unstaged(name, type)
      throw new EngineError('TYPE_UNSUPPORTED', `${file}: ${message}`, { hint })
    }
    return modelColumn(name, type)
  })
}

/** SQL of a query's rows as they are staged. */
export const asStaged = (sql: string, columns: Column[]) =>
  converted(sql, columns, ({ type }, value) => `CAST(${value} AS ${typeName(type)})`)

/** SQL of staged rows as models see them. */
export const asSeen = (sql: string, columns: Column[]) => converted(sql, columns, seenSql)

function converted(sql: string, columns: Column[], to: (column: Column, value: string) => string): string {
  const casts = columns
    .filter(({ duck }) => duck !== undefined)
    .map(column => `${to(column, quoteName(column.name))} AS ${quoteName(column.name)}`)
  return casts.length > 0 ? `SELECT * REPLACE (${casts.join(', ')}) FROM (${sql}\n)` : sql
}

/** Makes a model's good rows a table for models. */
export async function openSet(
  { duck, root }: Session,
  set: DataSet & { name: string; columns: Column[] },
): Promise<void> {
  const rows = asSeen(goodRows(root, set), set.columns)
  await duck.run(`CREATE OR REPLACE VIEW ${quoteName(set.name)} AS ${rows}`)
}

/** Makes a model a table that is computed where it is read, of the values that it would have if it were staged. */
export async function openView(
  session: Session,
  { queries, macros }: Pick<SqlGraph, 'queries' | 'macros'>,
  model: SqlFile & { name: string },
): Promise<void> {
  const columns = await columnsOf(session, model)
  const query = queries.get(model.file)
  const sources = [model, ...(query ? usedMacros(query, macros) : [])]
  const sql = stripped(model.sql)
  // Only what says so gives a text one.
  const isCollated = sources.some(source => /\bcollate\b/i.test(source.sql))
  const rows = asSeen(asStaged(isCollated ? uncollated(sql, columns) : sql, columns), columns)
  await session.duck.run(`CREATE OR REPLACE VIEW ${quoteName(model.name)} AS ${rows}`)
}

/** SQL of a query's rows without the collations of its texts, which no file keeps. */
function uncollated(sql: string, columns: Column[]): string {
  const texts = columns.filter(({ type, duck }) => type.kind === 'text' && duck === undefined)
  const plain = texts.map(({ name }) => `${quoteName(name)} COLLATE "binary" AS ${quoteName(name)}`)
  return plain.length > 0 ? `SELECT * REPLACE (${plain.join(', ')}) FROM (${sql}\n)` : sql
}

/** Fails with VALUE_INEXACT where a value is beyond the type that it is staged by: with the column and the row. */
export async function refuseTooLarge(duck: Duck, { file, sql }: SqlFile, columns: Column[]): Promise<void> {
  for (const column of columns) {
    if (!column.duck) continue
    const name = quoteName(column.name)
    const others = columns.filter(({ duck }) => duck === undefined).slice(0, 3)
    const row = others.map(
      other =>
        `'${other.name.replaceAll("'", "''")} = ' || coalesce(${quoteName(other.name)}::VARCHAR, 'NULL')`,
    )
    const [found] = await duck
      .rows(
        `SELECT ${name}::VARCHAR AS value, ${row.length > 0 ? `concat_ws(', ', ${row.join(', ')})` : "''"} AS subject
         FROM (${stripped(sql)}\n) WHERE ${name} IS NOT NULL AND TRY_CAST(${name} AS ${typeName(column.type)}) IS NULL LIMIT 1`,
      )
      .catch(() => [])
    if (found)
      throw new EngineError(
        'VALUE_INEXACT',
        `${file}: column ${column.name} (${column.duck}): '${found.value}' is beyond ${typeName(column.type)}: ${found.subject}`,
        { hint: `Write ${name}::VARCHAR AS ${name}, or keep it within that type.` },
      )
  }
}
