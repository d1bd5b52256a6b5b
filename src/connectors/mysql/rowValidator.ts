import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import {
  REJECT_ROW,
  type RejectedRow,
  type RejectsRequest,
  type RowValidator,
  type Unsendable,
} from '../../../engine/contracts/rowValidation.ts'
import { unless } from '../../../engine/errors.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import { judgedUniques, uniqueClashes } from '../sql/uniques.ts'
import { databaseAndName } from './catalog.ts'
import { foldedText, matchFolded } from './changes.ts'
import { fittingOf } from './fitting.ts'
import { foldedKey, foldingColumns } from './keyClash.ts'
import { stagingName, targetTable } from './state.ts'
import type { TargetSession } from './targetSession.ts'
import { columnType, isText, type TargetColumn, type TargetTable } from './targetTypes.ts'
import { withTemporaryTables } from './temporaryTables.ts'
import { identifier, literal, splitTable, tableName } from './types.ts'

/** A condition on staged rows `_nf_s` that a table refuses, and SQL of why. */
export interface Refusal {
  condition: string
  reason: string
}

/**
 * Rows that a table refuses, found in a staging table of their own: first those whose values do not fit a type, then
 * NULLs, CHECKs, foreign keys, keys that are one for the table's collation, and unique indexes beside the key, each among the rows that are
 * left. Not judged: unique indexes of prefixes or expressions, constraints on columns that are not loaded, foreign keys to tables of the same commit
 * or that we may not read.
 */
export class MysqlRowValidator implements RowValidator {
  private readonly session: TargetSession

  constructor(session: TargetSession) {
    this.session = session
  }

  unsendable({ columns }: PlannedLoad): Unsendable[] {
    return columns.flatMap(({ name, type }) => {
      const value = quoteName(name)
      if (type.kind === 'float')
        return [{ column: name, condition: `NOT isfinite(${value})`, reason: `${name}: is no finite number` }]
      if (type.kind !== 'date' && type.kind !== 'timestamp') return []
      // Not by year(): of an instant it is that of the era, and of the session's zone.
      const [first, last] = [`0001-01-01 00:00:00`, `9999-12-31 23:59:59.999999`].map(moment =>
        type.kind === 'date' ? `DATE '${moment.slice(0, 10)}'` : `CAST('${moment}+00' AS ${typeName(type)})`,
      )
      const condition = `${value} NOT BETWEEN ${first} AND ${last}`
      return [{ column: name, condition, reason: `${name}: is not within the years 1 to 9999` }]
    })
  }

  async findRejects(request: RejectsRequest, signal: AbortSignal): Promise<RejectedRow[]> {
    this.session.heed(signal)
    const { loadId, job, load: planned, paths, columns, beside, offload, lanes } = request
    const table = await targetTable(this.session, planned.table)
    if (!table) return []
    // Columns that the load will change refuse nothing.
    const { changed } = fittingOf(planned, table, '')
    const load = { ...planned, columns: planned.columns.filter(({ name }) => !changed.includes(name)) }
    const keyed = load.key.length > 0 && load.key.every(key => columnNamed(load.columns, key))
    const name = stagingName(this.session, loadId, load.table, 'fit')
    const defined = columns.map(
      ({ name, type }) =>
        `${identifier(name)} ${columnType(type)} ${name === REJECT_ROW ? 'PRIMARY KEY' : 'NULL'}`,
    )
    const where = `${this.session.access.name}.${load.table}`
    const temporary = { name, defined, loadId, job, where, paths, columns, lanes, offload }
    return withTemporaryTables(this.session, temporary, signal, async () => {
      const run = (sql: string) => this.session.rows(sql, signal)
      const rejects: RejectedRow[] = []
      const refusals = [
        ...load.columns.flatMap(column => ofValues(column, columnNamed(table.columns, column.name))),
        ...(await checksOf(this.session, load)).map(check => ofCheck(check, table, name)),
        ...(await this.foreignKeys(load, table, beside)),
        ...(keyed ? clashes(load, table, name) : []),
        ...(keyed ? uniques(load, table, name) : []),
      ]
      for (const { condition, reason } of refusals) {
        const rows = await run(
          `SELECT ${identifier(REJECT_ROW)} AS number, ${reason} AS reason FROM ${name} AS _nf_s WHERE ${condition}`,
        )
        if (rows.length === 0) continue
        for (const { number, reason } of rows) rejects.push({ row: Number(number), reason: reason! })
        await run(`DELETE _nf_s FROM ${name} AS _nf_s WHERE ${condition}`)
      }
      return rejects
    })
  }

  private async foreignKeys(
    load: PlannedLoad,
    { columns }: TargetTable,
    beside: string[],
  ): Promise<Refusal[]> {
    const [database, name] = databaseAndName(load.table)
    const found = await this.session.rows(
      `SELECT constraint_name AS name, column_name AS \`column\`, referenced_column_name AS target,
         referenced_table_name AS parent, referenced_table_schema AS base, referenced_table_schema = DATABASE() AS here
       FROM information_schema.key_column_usage
       WHERE table_schema = ${database} AND table_name = ${literal(name)} AND referenced_table_name IS NOT NULL
       ORDER BY constraint_name, ordinal_position`,
    )
    const others = [load.table, ...beside].map(table => splitTable(table).at(-1))
    const refusals: Refusal[] = []
    for (const [name, parts] of Map.groupBy(found, row => row.name)) {
      const { parent, base } = parts[0]!
      const loaded = parts.every(({ column }) => columnNamed(load.columns, column!))
      if (!loaded || others.includes(parent!)) continue
      const table = `${identifier(base!)}.${identifier(parent!)}`
      const list = parts.map(({ target }) => identifier(target!)).join(', ')
      const look = () => this.session.rows(`SELECT ${list} FROM ${table} LIMIT 0`)
      if (!(await unless('PERMISSION_DENIED', look))) continue
      const set = parts.map(({ column }) => `_nf_s.${identifier(column!)} IS NOT NULL`)
      const same = parts.map(
        ({ column, target }) => `p.${identifier(target!)} = ${asTarget(column!, columns)}`,
      )
      refusals.push({
        condition: `${set.join(' AND ')} AND NOT EXISTS (SELECT 1 FROM ${table} AS p WHERE ${same.join(' AND ')})`,
        reason: shown(
          parts.map(({ column }) => column!),
          `violates ${name}: not in ${tableName(parent!)}`,
        ),
      })
    }
    return refusals
  }
}

/** A CHECK of a table, and the columns of a load that it is about. */
export interface Check {
  name: string
  clause: string
  columns: string[]
}

/** Those that are about columns of the load alone. */
export async function checksOf(session: TargetSession, load: PlannedLoad): Promise<Check[]> {
  const [database, name] = databaseAndName(load.table)
  // MariaDB's names of constraints are unique in a table, MySQL's in a database.
  const [mariadb] = await session.rows(
    `SELECT 1 AS one FROM information_schema.columns WHERE table_schema = 'information_schema'
       AND table_name = 'CHECK_CONSTRAINTS' AND column_name = 'TABLE_NAME'`,
  )
  const found = await session.rows(
    `SELECT c.constraint_name AS name, c.check_clause AS clause FROM information_schema.check_constraints AS c ${
      mariadb
        ? `WHERE c.constraint_schema = ${database} AND c.table_name = ${literal(name)}`
        : `JOIN information_schema.table_constraints AS t USING (constraint_schema, constraint_name)
           WHERE t.table_schema = ${database} AND t.table_name = ${literal(name)}`
    } ORDER BY c.constraint_name`,
  )
  return found.flatMap(({ name, clause }) => {
    const used = [...clause!.matchAll(/`((?:[^`]|``)+)`/g)].map(([, quoted]) => quoted!.replaceAll('``', '`'))
    const own = [...new Set(used)].map(column => columnNamed(load.columns, column)?.name)
    if (own.length === 0 || own.includes(undefined)) return []
    return [{ name: name!, clause: clause!, columns: own as string[] }]
  })
}

/** Staged columns as a CHECK sees them: of the table's own types. */
export const typedColumns = ({ columns: own }: Check, { columns }: TargetTable) =>
  own.map(column => `${asTarget(column, columns)} AS ${identifier(column)}`)

/** Rows that a CHECK refuses; two tables deep, since MySQL deletes from the inner. */
function ofCheck(check: Check, table: TargetTable, staged: string): Refusal {
  const { name, clause, columns } = check
  const row = identifier(REJECT_ROW)
  return {
    condition: `_nf_s.${row} IN (SELECT ${row} FROM (SELECT c.${row} FROM (SELECT _nf_s.${row}, ${typedColumns(check, table).join(', ')} FROM ${staged} AS _nf_s) AS c
      WHERE (${clause}) IS FALSE) AS d)`,
    reason: shown(columns, `violates ${name}: CHECK (${clause})`),
  }
}

/** Rows whose key is another row's for the target: all but the first of those staged, and those that the table has. */
function clashes(load: PlannedLoad, table: TargetTable, staged: string): Refusal[] {
  const folding = foldingColumns(load, table)
  if (folding.length === 0) return []
  const row = identifier(REJECT_ROW)
  const order = load.key.map(name => `CAST(_nf_s.${identifier(name)} AS BINARY)`).join(', ')
  const nth = `ROW_NUMBER() OVER (PARTITION BY ${foldedKey(load, table)} ORDER BY ${order})`
  const among = folding.map(({ name, collation }) => `${name} (${collation})`).join(', ')
  return [
    {
      condition: `_nf_s.${row} IN (SELECT ${row} FROM (SELECT _nf_s.${row}, ${nth} AS nth FROM ${staged} AS _nf_s) AS d WHERE nth > 1)`,
      reason: shown(load.key, `is the key of another row, too, by the collation of ${among}`),
    },
    {
      condition: `EXISTS (SELECT 1 FROM ${tableName(load.table)} AS _nf_t WHERE ${matchFolded(load.key, table)})`,
      reason: shown(load.key, `is the key of another row that the table has, by the collation of ${among}`),
    },
  ]
}

/** Rows that break a unique index beside the key. */
function uniques(load: PlannedLoad, table: TargetTable, staged: string): Refusal[] {
  const names = {
    quote: identifier,
    staged,
    row: identifier(REJECT_ROW),
    target: tableName(load.table),
    typed: (name: string, alias: string) => foldedText(name, table, alias),
  }
  return judgedUniques(load, table.unique).flatMap(columns =>
    uniqueClashes(load, columns, names).map(({ condition, text }) => ({
      condition,
      reason: shown(columns, text),
    })),
  )
}

/** A staged value with the character set and collation that the table's column has. */
function asTarget(name: string, columns: TargetColumn[]): string {
  const value = `_nf_s.${identifier(name)}`
  const found = columnNamed(columns, name)!
  return isText(found) ? `CONVERT(${value} USING ${found.charset}) COLLATE ${found.collation}` : value
}

/** SQL of values with their columns' names, and what is wrong with them. */
function shown(names: string[], wrong: string): string {
  const values = names.map(
    name => `${literal(`${name} `)}, QUOTE(LEFT(CAST(_nf_s.${identifier(name)} AS CHAR), 100))`,
  )
  return `CONCAT(${values.join(`, ', ', `)}, ${literal(` ${wrong}`)})`
}

const RANGES: Record<string, number> = { tinyint: 8, smallint: 16, mediumint: 24, int: 32, bigint: 64 }

const bytes = (text: string) => `CAST(CONVERT(${text} USING utf8mb4) AS BINARY)`

/** The labels of an enum or a set, as literals. */
const labelsOf = (type: string) =>
  (type.match(/'(?:[^']|'')*'/g) ?? []).map(label => label.replaceAll('\\', '\\\\'))

/** SQL of a set's text as its column writes it: its labels in their order. */
const setOf = (value: string, labels: string[]) =>
  `CONCAT_WS(',', ${labels.map(label => `IF(FIND_IN_SET(${label}, ${value}), ${label}, NULL)`).join(', ')})`

/** What a column's type refuses of a load's values, then NULL. */
export function ofValues({ name, type }: Column, column: TargetColumn | undefined): Refusal[] {
  if (!column) return []
  const value = `_nf_s.${identifier(name)}`
  const reason = shown([name], `does not fit ${column.column_type}`).replace(
    literal(`${name} `),
    literal(`${name}: `),
  )
  const { data_type, column_type, length, charset } = column
  const refusals: Refusal[] = []
  const refuse = (condition: string) => refusals.push({ condition, reason })
  const bits = RANGES[data_type]
  if ((type.kind === 'int' || type.kind === 'decimal') && bits) {
    const unsigned = column_type.includes('unsigned')
    const most = 2n ** BigInt(unsigned ? bits : bits - 1)
    refuse(`${value} NOT BETWEEN ${unsigned ? 0n : -most} AND ${most - 1n}`)
  }
  if ((type.kind === 'int' || type.kind === 'decimal') && data_type === 'decimal')
    refuse(`ABS(${value}) >= 1${'0'.repeat(Number(column.num_precision) - Number(column.num_scale))}`)
  if (isText(column)) {
    if (charset !== 'utf8mb4')
      refuse(
        `CAST(CONVERT(CONVERT(${value} USING ${charset}) USING utf8mb4) AS BINARY) <> CAST(${value} AS BINARY)`,
      )
    if (data_type === 'char' || data_type === 'varchar') refuse(`CHAR_LENGTH(${value}) > ${length}`)
    // What a collation takes for a label, or a set in another order, would be held as another text.
    else if (data_type === 'enum')
      refuse(`${bytes(value)} NOT IN (${labelsOf(column_type).map(bytes).join(', ')})`)
    else if (data_type === 'set') refuse(`${bytes(value)} <> ${bytes(setOf(value, labelsOf(column_type)))}`)
    else refuse(`LENGTH(CONVERT(${value} USING ${charset})) > ${length}`)
    // The server takes blanks away from its end.
    if (data_type === 'char') refuse(`${value} LIKE '% '`)
  }
  if (type.kind === 'binary' && length !== null)
    refuse(`LENGTH(${value}) ${data_type === 'binary' ? '<>' : '>'} ${length}`)
  if (data_type === 'json') refuse(`NOT JSON_VALID(${value})`)
  if (['uuid', 'inet4', 'inet6'].includes(data_type))
    refuse(`${value} IS NOT NULL AND CAST(${value} AS ${data_type}) IS NULL`)
  if (data_type === 'timestamp')
    refuse(`${value} NOT BETWEEN '1970-01-01 00:00:01' AND '2038-01-19 03:14:07.999999'`)
  if (column.nullable === 'NO')
    refusals.push({ condition: `${value} IS NULL`, reason: literal(`${name}: may not be NULL`) })
  return refusals
}
