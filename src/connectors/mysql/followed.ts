import { EngineError } from '../../../engine/errors.ts'
import type { Diagnosis, Needs } from '../declare/define.ts'
import { databaseAndName, primaryKey } from './catalog.ts'
import { ask, type Session } from './connect.ts'
import { literal, tableName } from './types.ts'

export async function isMariadb(session: Session): Promise<boolean> {
  const [found] = await ask<{ version: string }>(session, 'SELECT VERSION() AS version')
  return /mariadb/i.test(found!.version)
}

/** What tells a server from others. */
export async function serverId(session: Session, mariadb: boolean): Promise<string> {
  const [own] = await ask<{ id: string }>(
    session,
    `SELECT ${mariadb ? '@@server_id' : '@@server_uuid'} AS id`,
  )
  return own!.id
}

/** What a server's settings must be, for its log to tell whole rows. */
export async function logSettings(session: Session): Promise<Diagnosis[]> {
  const rows = await ask<{ Variable_name: string; Value: string }>(
    session,
    `SHOW GLOBAL VARIABLES WHERE variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'binlog_row_value_options')`,
  )
  const values = new Map(rows.map(row => [row.Variable_name.toLowerCase(), row.Value]))
  const is = (name: string, wanted: string, fix: string): Diagnosis => {
    const value = values.get(name)
    if (value?.toUpperCase() === wanted) return { ok: true, what: `${name} is ${value}` }
    return value === undefined
      ? {
          ok: false,
          what: `the server has no ${name}: its log does not name columns`,
          fix: 'Take MariaDB 10.5 or MySQL 8.0, or later; or leave out mode: changes.',
        }
      : { ok: false, what: `${name} is ${value}, and must be ${wanted} to read changes from the log`, fix }
  }
  const set = (name: string, value: string) =>
    `SET GLOBAL ${name} = '${value}'; -- and in the server's configuration; sessions that are open keep theirs`
  const partial = values.get('binlog_row_value_options')
  return [
    is('log_bin', 'ON', 'Start the server with log_bin and a server_id.'),
    is('binlog_format', 'ROW', set('binlog_format', 'ROW')),
    is('binlog_row_image', 'FULL', set('binlog_row_image', 'FULL')),
    is('binlog_row_metadata', 'FULL', set('binlog_row_metadata', 'FULL')),
    ...(partial
      ? [
          {
            ok: false,
            what: `binlog_row_value_options is ${partial}: the log has parts of values`,
            fix: set('binlog_row_value_options', ''),
          },
        ]
      : []),
  ]
}

export interface TableFacts {
  kind: string
  key: string[]
  /** Constraints by which the server changes rows of the table itself, which its log does not tell. */
  cascades: string[]
  /** Columns of MySQL's own JSON. */
  json: string[]
  /** Columns that are computed when they are read. */
  virtual: string[]
}

/** The catalog's word on a table; undefined where there is none of the name. */
export async function tableFacts(session: Session, table: string): Promise<TableFacts | undefined> {
  const [database, name] = databaseAndName(table)
  const [found] = await ask<{ kind: string }>(
    session,
    `SELECT table_type AS kind FROM information_schema.tables WHERE table_schema = ${database} AND table_name = ${literal(name)}`,
  )
  if (!found) return undefined
  const cascades = await ask<{ name: string }>(
    session,
    `SELECT constraint_name AS name FROM information_schema.referential_constraints
      WHERE constraint_schema = ${database} AND table_name = ${literal(name)}
        AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION') OR update_rule NOT IN ('RESTRICT', 'NO ACTION'))`,
  )
  const columns = await ask<{ name: string; type: string; extra: string }>(
    session,
    `SELECT column_name AS name, data_type AS type, extra AS extra FROM information_schema.columns
      WHERE table_schema = ${database} AND table_name = ${literal(name)}`,
  )
  return {
    kind: found.kind,
    key: await primaryKey(session, table),
    cascades: cascades.map(({ name }) => name),
    json: columns.filter(({ type }) => type === 'json').map(({ name }) => name),
    virtual: columns.filter(({ extra }) => /VIRTUAL GENERATED/i.test(extra)).map(({ name }) => name),
  }
}

/** The engine that stores a table's rows. */
export async function engineOf(session: Session, table: string): Promise<string | undefined> {
  const [database, name] = databaseAndName(table)
  const [found] = await ask<{ engine: string | null }>(
    session,
    `SELECT engine AS engine FROM information_schema.tables WHERE table_schema = ${database} AND table_name = ${literal(name)}`,
  )
  return found?.engine ?? undefined
}

/** What keeps a table from being followed, and what mends it; undefined where nothing does. */
export function obstacleOf(
  table: string,
  { kind, key, cascades, json, virtual }: TableFacts,
  own: string[],
): { what: string; fix: string } | undefined {
  const quoted = tableName(table)
  if (kind === 'SYSTEM VERSIONED')
    return {
      what: 'keeps its own history (SYSTEM VERSIONED), which its log has among its rows',
      fix: 'Leave out mode: changes for it.',
    }
  if (kind !== 'BASE TABLE')
    return {
      what: 'is no table: the log has changes of tables only',
      fix: 'Name the table itself, or leave out mode: changes.',
    }
  if (key.length === 0 && own.length === 0)
    return {
      what: 'has no primary key',
      fix: `ALTER TABLE ${quoted} ADD PRIMARY KEY (…); or name the columns that identify a row: key: in the extract.`,
    }
  if (cascades.length > 0)
    return {
      what: `loses or changes rows by foreign key ${cascades.join(', ')} (CASCADE, SET NULL), which the log does not tell`,
      fix: `Make it ON DELETE RESTRICT ON UPDATE RESTRICT, or leave out mode: changes for it.`,
    }
  if (json.length > 0)
    return {
      what: `has JSON columns (${json.join(', ')}), whose form in the log is MySQL's own`,
      fix: 'Leave out mode: changes for it.',
    }
  if (virtual.length > 0)
    return {
      what: `has virtual columns (${virtual.join(', ')}), which the log may not tell`,
      fix: `Make them STORED, or leave out mode: changes for it.`,
    }
  return undefined
}

/** What a server lacks to have the changes of tables read from its log, and the statements that mend it. */
export async function diagnoseLog(session: Session, follows: Needs['follows']): Promise<Diagnosis[]> {
  const found = await logSettings(session)
  for (const { table, key } of follows) {
    const facts = await tableFacts(session, table)
    const obstacle = facts && obstacleOf(table, facts, key)
    if (obstacle) found.push({ ok: false, what: `${table} ${obstacle.what}`, fix: obstacle.fix })
    else if (facts) found.push({ ok: true, what: `the log tells all changes of ${table}` })
  }
  return found
}

/** Says what gives a privilege that reading the log lacks. */
export function withGrant(error: unknown): unknown {
  if (!(error instanceof EngineError) || !['PERMISSION_DENIED', 'AUTH_FAILED'].includes(error.code))
    return error
  const { errno } = (error.cause ?? {}) as { errno?: number }
  if (errno !== 1227) return error
  return new EngineError('PERMISSION_DENIED', `${error.message}, which reading its log needs`, {
    cause: error,
    hint: 'GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user of the connection;',
  })
}
