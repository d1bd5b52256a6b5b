import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { type OwnColumn, ownColumns } from '../../../engine/contracts/ownColumns.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { standard, tableKey } from '../sql/dialect.ts'
import { nameParts } from '../sql/names.ts'
import { changeError } from '../sql/obstacles.ts'
import { quoteIdent, quoteTable } from './connect.ts'
import { LONG_NAMES, madeType, stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'
import { FAMILY } from './types.ts'

/** How Postgres writes what the load modes do. */
export const DIALECT = standard(quoteIdent, stagingType)

/**
 * Whether a load's staging table can become its table, so that no row is written twice: there is none yet, its columns have
 * types that take the same bytes as those that they are staged in, what it has beside them is the same in all rows, and nobody
 * has granted anything on tables to come, there or where it is staged.
 */
export async function canAdopt(
  session: TargetSession,
  load: StagedLoad,
  signal: AbortSignal,
): Promise<boolean> {
  const [schema, table] = nameParts(load.table)
  const plain = load.columns.every(column => {
    const staged = stagingType(column.type)
    const made = madeType(column)
    return made === staged || made === LONG_NAMES[staged] || (staged === 'text' && TEXT.test(made))
  })
  if (!plain || load.mode === 'scd2' || load.mode === 'partition') return false
  const { rows } = await session.query(
    `SELECT 1 FROM pg_default_acl WHERE defaclobjtype = 'r'
       AND (defaclnamespace IN (0, to_regnamespace('nightfreight')) OR defaclnamespace = to_regnamespace(${table ? '$1' : 'quote_ident(current_schema())'}))`,
    table ? [quoteIdent(schema!)] : [],
    signal,
  )
  return rows.length === 0
}

/** Texts that are bounded and kept as they come. */
const TEXT = /^character( varying)?(\(\d+\))?$/

/** The columns of a table that is to be adopted, as {@link createTable} would make them. */
export async function adoptedColumns(
  session: TargetSession,
  load: StagedLoad,
  signal: AbortSignal,
): Promise<string[]> {
  const known = await knownTypes(session, load, signal)
  return load.columns.map(column => definition(column, known))
}

/** Makes a staging table the load's table, as it lies: what is added to it has one value, which the catalog keeps for its rows. */
export async function adoptTable(
  session: TargetSession,
  load: StagedLoad,
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  for (const column of ownColumns(load)) {
    const stamped = column.name === load.stamp
    const add = `ALTER TABLE ${staging} ADD COLUMN ${ownDefinition(column)}${stamped ? ` DEFAULT ${DIALECT.now}` : ''}`
    const undo = `ALTER TABLE ${staging} ALTER COLUMN ${quoteIdent(column.name)} DROP DEFAULT`
    await session.query(stamped ? `${add}; ${undo}` : add, [], signal)
  }
  const [first, second] = nameParts(load.table)
  const name = quoteIdent(second ?? first!)
  const schema = second ? quoteIdent(first!) : quoteIdent(await currentSchema(session))
  if (second) await ensureSchema(session, first!, signal)
  const moved = `${schema}.${staging.split('.').at(-1)!}`
  await session.query(
    `ALTER TABLE ${staging} SET SCHEMA ${schema}; ALTER TABLE ${moved} RENAME TO ${name}; COMMENT ON TABLE ${schema}.${name} IS NULL`,
    [],
    signal,
  )
}

const currentSchema = async (session: TargetSession) =>
  (await session.query('SELECT current_schema() AS name')).rows[0]!.name!

async function ensureSchema(session: TargetSession, schema: string, signal: AbortSignal): Promise<void> {
  const { rows } = await session.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (rows.length === 0) await session.query(`CREATE SCHEMA ${quoteIdent(schema)}`, [], signal)
}

/** Creates a load's table without its key: {@link finishTable} adds that once the rows are in. */
export async function createTable(
  session: TargetSession,
  load: StagedLoad,
  signal: AbortSignal,
): Promise<void> {
  const [schema, table] = nameParts(load.table)
  const known = await knownTypes(session, load, signal)
  const columns = load.columns.map(column => definition(column, known))
  columns.push(...ownColumns(load).map(ownDefinition))
  if (table) await ensureSchema(session, schema!, signal)
  await session.query(`CREATE TABLE ${quoteTable(load.table)} (${columns.join(', ')})`, [], signal)
}

const ownDefinition = ({ name, type, nullable }: OwnColumn) =>
  `${quoteIdent(name)} ${stagingType(type)}${nullable ? '' : ' NOT NULL'}`

/** The types and collations of the columns' origins that the target has too: it may lack what users and extensions define. */
async function knownTypes(
  session: TargetSession,
  { columns }: StagedLoad,
  signal: AbortSignal,
): Promise<Set<string>> {
  const origins = columns.flatMap(({ origin }) => (origin?.family === FAMILY ? [origin] : []))
  if (origins.length === 0) return new Set()
  const { rows } = await session.query(
    `SELECT t AS name FROM unnest($1::text[]) AS t WHERE to_regtype(t) IS NOT NULL
     UNION SELECT c FROM unnest($2::text[]) AS c WHERE to_regcollation(c) IS NOT NULL`,
    [origins.map(({ type }) => type), origins.flatMap(({ collation }) => collation ?? [])],
    signal,
  )
  return new Set(rows.map(({ name }) => name!))
}

/** A column as its source has it, where that is a Postgres whose type is known here; else the type that it is staged as. */
function definition(column: Column, known: Set<string>): string {
  const { name, nullable, origin } = column
  const required = nullable || !origin ? '' : ' NOT NULL'
  if (origin?.family !== FAMILY || !known.has(origin.type))
    return `${quoteIdent(name)} ${madeType(column)}${required}`
  const fallback = origin.default === undefined ? '' : ` DEFAULT ${origin.default}`
  const { collation } = origin
  const order = collation !== undefined && known.has(collation) ? ` COLLATE ${collation}` : ''
  return `${quoteIdent(name)} ${origin.type}${order}${fallback}${required}`
}

/** Changes a table that is there. */
export async function alterTable(
  session: TargetSession,
  { table }: StagedLoad,
  statements: string[],
  signal: AbortSignal,
): Promise<void> {
  for (const statement of statements)
    await session.query(statement, [], signal, `${session.access.name}.${table}`).catch(error => {
      throw changeError(error, statement)
    })
}

/** Builds the key and the indexes of a table just filled: one sort each instead of an insertion a row. */
export async function finishTable(
  session: TargetSession,
  load: StagedLoad,
  where: string,
  signal: AbortSignal,
): Promise<void> {
  const list = (names: string[]) => names.map(quoteIdent).join(', ')
  const key = tableKey(load)
  const table = quoteTable(load.table)
  if (key.length > 0)
    await session.query(`ALTER TABLE ${table} ADD PRIMARY KEY (${list(key)})`, [], signal, where)
  for (const { columns, unique, method } of load.made?.indexes ?? [])
    await session.query(
      `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ON ${table}${method ? ` USING ${method.name}` : ''} (${list(columns)})`,
      [],
      signal,
      where,
    )
}

/** Until the transaction ends: statistics of 3,000 rows, where the server would take 30,000. Of 500 columns those take longer than a load. */
export const LITTLE = 'SET LOCAL default_statistics_target = 10'

/**
 * Tells the planner of a table just filled, of which it knows nothing until autovacuum has seen it. Where columns are named,
 * autovacuum looks at it as if nobody had.
 */
export async function analyzeTable(
  session: TargetSession,
  load: StagedLoad,
  where: string,
  signal: AbortSignal,
): Promise<void> {
  const columns = [...load.columns, ...ownColumns(load)].map(({ name }) => quoteIdent(name))
  await session.query(
    `${LITTLE}; ANALYZE ${quoteTable(load.table)} (${columns.join(', ')})`,
    [],
    signal,
    where,
  )
}

/** Adds the foreign keys of tables just made, once all of a commit are filled: checked at the end of each load to come. */
export async function addReferences(
  session: TargetSession,
  loads: StagedLoad[],
  signal: AbortSignal,
): Promise<void> {
  const list = (names: string[]) => names.map(quoteIdent).join(', ')
  for (const load of loads)
    for (const { columns, table, to } of load.made?.references ?? [])
      await session.query(
        `ALTER TABLE ${quoteTable(load.table)} ADD FOREIGN KEY (${list(columns)}) REFERENCES ${quoteTable(table)} (${list(to)}) DEFERRABLE`,
        [],
        signal,
        `${session.access.name}.${load.table}`,
      )
}
