import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { parentsFirst, type Reference } from '../sql/references.ts'
import { ask, type Session } from './connect.ts'
import type { TargetSession } from './targetSession.ts'
import { identifier, literal, splitTable } from './types.ts'

/** A foreign key of or to a load's table. */
export interface ForeignKey {
  /** The tables, as loads name them or else with their schema; and as SQL. */
  child: { name: string; loaded: boolean; sql: string }
  parent: ForeignKey['child']
  constraint: string
  columns: string[]
  to: string[]
}

/** The foreign keys that the tables of loads have, or that refer to them. */
export async function foreignKeysOf(session: TargetSession, loads: PlannedLoad[]): Promise<ForeignKey[]> {
  const tables = loads.map(({ table }) => table)
  return keysOf(loads, await allForeignKeys(session, tables))
}

/** Of all foreign keys, those that the tables of loads have, or that refer to them. */
export function keysOf(loads: PlannedLoad[], every: ForeignKey[]): ForeignKey[] {
  const tables = new Set(loads.map(({ table }) => table))
  return every.filter(({ child, parent }) =>
    [child, parent].some(({ name, loaded }) => loaded && tables.has(name)),
  )
}

/** All foreign keys that the server shows us; `loaded`: the tables that count as loaded. */
export async function allForeignKeys(session: TargetSession, loaded: string[]): Promise<ForeignKey[]> {
  const [here] = await session.rows<{ name: string | null; folds: number }>(
    'SELECT DATABASE() AS name, @@lower_case_table_names <> 0 AS folds',
  )
  const idOf = (...names: (string | null)[]) => {
    const id = JSON.stringify(names)
    return Number(here!.folds) === 1 ? id.toLowerCase() : id
  }
  const tables = new Map(
    loaded.map(table => {
      const [database, name] = splitTable(session.placeOf(table))
      return [name === undefined ? idOf(here!.name, database!) : idOf(database!, name), table]
    }),
  )
  const rows = await session.rows<
    Record<'schema' | 'child' | 'name' | 'column' | 'parent_schema' | 'parent' | 'parent_column', string>
  >(
    `SELECT table_schema AS \`schema\`, table_name AS child, constraint_name AS name, column_name AS \`column\`,
       referenced_table_schema AS parent_schema, referenced_table_name AS parent, referenced_column_name AS parent_column
     FROM information_schema.key_column_usage WHERE referenced_table_name IS NOT NULL
     ORDER BY table_schema, table_name, constraint_name, ordinal_position`,
  )
  const named = (schema: string, table: string) => {
    const own = tables.get(idOf(schema, table))
    return {
      name: own ?? `${schema}.${table}`,
      loaded: own !== undefined,
      sql: `${identifier(schema)}.${identifier(table)}`,
    }
  }
  const groups = Map.groupBy(rows, ({ schema, child, name }) => JSON.stringify([schema, child, name]))
  return [...groups.values()].map(columns => {
    const [{ schema, child, parent_schema, parent }] = columns as [(typeof columns)[0]]
    return {
      child: named(schema, child),
      parent: named(parent_schema, parent),
      constraint: columns[0]!.name,
      columns: columns.map(({ column }) => column),
      to: columns.map(({ parent_column }) => parent_column),
    }
  })
}

/** What foreign keys order of the tables of loads; `late`: no order of rows or tables helps, so that they are checked at the end. */
export function orderOf(loads: StagedLoad[], keys: ForeignKey[]): { references: Reference[]; late: boolean } {
  const references = keys.flatMap(({ child, parent }) =>
    child.loaded && parent.loaded && child.name !== parent.name
      ? [{ child: child.name, parent: parent.name }]
      : [],
  )
  const own = keys.some(({ child, parent }) => child.sql === parent.sql)
  return { references, late: own || parentsFirst(loads, references).circle.length > 0 }
}

/** Why a column cannot change its type: the foreign keys that it is part of, with the statements that change it. */
export function bound(name: string, statement: string, table: string, keys: ForeignKey[]): EngineError {
  const own = keys.filter(({ child, parent }) => child.name === table || parent.name === table)
  const drops = own.map(key => `ALTER TABLE ${key.child.sql} DROP FOREIGN KEY ${identifier(key.constraint)};`)
  const adds = own.map(
    key =>
      `ALTER TABLE ${key.child.sql} ADD CONSTRAINT ${identifier(key.constraint)} FOREIGN KEY (${key.columns.map(identifier).join(', ')}) REFERENCES ${key.parent.sql} (${key.to.map(identifier).join(', ')});`,
  )
  return new EngineError(
    'TARGET_INCOMPATIBLE',
    `${name}.${table}: a column of a foreign key has become too narrow, and the server does not widen it`,
    {
      hint: `Nothing was loaded. Widen it, and the columns that refer to it, between: ${[...drops, statement, ...adds].join(' ')}`,
    },
  )
}

/** Rows of a finding that are shown. */
const SHOWN = 3

type Run = (sql: string) => Promise<unknown>

/** Does what the server would refuse row by row, or table by table, by `run` of a session. */
export const unchecked = <T>(run: Run, act: () => Promise<T>): Promise<T> =>
  without(run, on => `SET SESSION foreign_key_checks = ${on}`, act)

/** Writes what need meet no CHECK yet, or any more, by `run` of a session; in MySQL it must. */
export const unconstrained = <T>(run: Run, act: () => Promise<T>): Promise<T> =>
  without(run, on => `SET @nf_checks = ${on} /*M!100201 , SESSION check_constraint_checks = ${on} */`, act)

async function without<T>(run: Run, setting: (on: 0 | 1) => string, act: () => Promise<T>): Promise<T> {
  await run(setting(0))
  try {
    return await act()
  } finally {
    // A connection that was lost has no setting either.
    await run(setting(1)).catch(() => {})
  }
}

/** Fails with CONSTRAINT_VIOLATED, and names both tables and rows, where a row refers to none by one of these keys. */
export async function checkKeys(
  session: Session,
  name: string,
  keys: ForeignKey[],
  signal: AbortSignal,
): Promise<void> {
  for (const key of keys) {
    const found = await ask<{ value: string }>(
      session,
      `SELECT ${shown(key, 'c')} AS value FROM ${key.child.sql} AS c LEFT JOIN ${key.parent.sql} AS p ON ${joined(key, 'p')}
         WHERE ${orphan(key, 'p')} LIMIT ${SHOWN}`,
      signal,
    )
    if (found.length > 0) throw violation(name, key, found)
  }
}

/**
 * Why a row was refused by a foreign key: the rows that were staged and refer to none that is there or staged. Undefined
 * where there are none.
 */
export async function stagedOrphans(
  session: TargetSession,
  name: string,
  keys: ForeignKey[],
  stagingOf: (table: string) => string | undefined,
): Promise<EngineError | undefined> {
  for (const key of keys) {
    const staging = stagingOf(key.child.name)
    if (staging === undefined) continue
    const beside = stagingOf(key.parent.name)
    const found = await session.rows<{ value: string }>(
      `SELECT ${shown(key, 'c')} AS value FROM ${staging} AS c LEFT JOIN ${key.parent.sql} AS p ON ${joined(key, 'p')}
       ${beside ? `LEFT JOIN ${beside} AS q ON ${joined(key, 'q')}` : ''}
       WHERE ${orphan(key, 'p')} ${beside ? `AND q.${identifier(key.to[0]!)} IS NULL` : ''} LIMIT ${SHOWN}`,
    )
    if (found.length > 0) return violation(name, key, found)
  }
  return undefined
}

const joined = ({ columns, to }: ForeignKey, alias: string) =>
  columns.map((column, at) => `c.${identifier(column)} = ${alias}.${identifier(to[at]!)}`).join(' AND ')

const orphan = ({ columns, to }: ForeignKey, alias: string) =>
  [
    ...columns.map(column => `c.${identifier(column)} IS NOT NULL`),
    `${alias}.${identifier(to[0]!)} IS NULL`,
  ].join(' AND ')

const shown = ({ columns }: ForeignKey, alias: string) =>
  `CONCAT_WS(', ', ${columns.map(column => `CONCAT(${literal(`${column} = `)}, ${alias}.${identifier(column)})`).join(', ')})`

function violation(
  name: string,
  { child, parent, columns, to }: ForeignKey,
  rows: { value: string }[],
): EngineError {
  const list = rows.map(({ value }) => value).join('; ')
  return new EngineError(
    'CONSTRAINT_VIOLATED',
    `${name}.${child.name}: ${columns.join(', ')} refers to ${to.join(', ')} of ${parent.name}, which has no such row: ${list}${rows.length === SHOWN ? ' …' : ''}`,
    {
      hint: 'Nothing was loaded. Load the rows that are referred to, too, or leave out those that refer to none.',
    },
  )
}
