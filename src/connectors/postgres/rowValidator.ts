import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import {
  REJECT_ROW,
  type RejectedRow,
  type RejectsRequest,
  type RowValidator,
  type Unsendable,
} from '../../../engine/contracts/rowValidation.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import { typeName } from '../../../engine/types/logical.ts'
import { judgedUniques, uniqueClashes } from '../sql/uniques.ts'
import { quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { fittingOf } from './fitting.ts'
import { keyClashSql } from './keyClash.ts'
import { columnCalled, expressions, stagingType } from './merge.ts'
import { strayBlanks } from './padding.ts'
import { readableSql } from './readable.ts'
import { refusals } from './rejectedRow.ts'
import type { TargetSession } from './session.ts'
import { copyParts, stagingName } from './staging.ts'
import { ensureState, ownComment, targetColumns } from './state.ts'
import { uniqueSql, uniquesOf } from './uniques.ts'

/** Of DATE, in DuckDB's notation; the last moment of DuckDB's TIMESTAMP is before that of Postgres. */
const FIRST_DAY = '4714-11-24 (BC)'
const LAST_DAY = '5874897-12-31'

/** A CHECK or a foreign key of a table. */
interface Constraint {
  name: string
  definition: string
  columns: string[]
  /** Of a CHECK. */
  expression: string | null
  /** Of a foreign key: the other table, quoted, and its columns. */
  parent: string | null
  parentColumns: string[]
}

/**
 * Rows that a table refuses, found in a staging table of their own: first those whose values do not fit a type, then
 * NULLs, CHECKs, foreign keys, keys that are one for the table and unique indexes beside the key, each among the rows that are left. Not judged: unique indexes of
 * expressions or of some rows, constraints on columns that are not loaded, foreign keys to tables of the same commit or whose rows we may not all read.
 */
export class PostgresRowValidator implements RowValidator {
  private readonly session: TargetSession

  constructor(session: TargetSession) {
    this.session = session
  }

  unsendable({ columns }: PlannedLoad): Unsendable[] {
    return columns.flatMap(({ name, type }): Unsendable[] => {
      const value = quoteName(name)
      const column = { column: name }
      if (type.kind === 'text') {
        const reason = `${name}: holds a NUL byte, which no text of Postgres can`
        return [{ ...column, condition: `contains(${value}, chr(0))`, reason }]
      }
      if (type.kind !== 'date' && type.kind !== 'timestamp') return []
      const [first, last] = [FIRST_DAY, type.kind === 'date' ? LAST_DAY : undefined].map(
        day => day && `CAST('${day}' AS ${typeName(type)})`,
      )
      const beyond = [`${value} < ${first}`, ...(last ? [`${value} > ${last}`] : [])].join(' OR ')
      const reason = `${name}: is not within the days of Postgres, 4714-11-24 BC to 5874897-12-31`
      return [{ ...column, condition: `(isfinite(${value}) AND (${beyond}))`, reason }]
    })
  }

  async findRejects(request: RejectsRequest, signal: AbortSignal): Promise<RejectedRow[]> {
    this.session.heed(signal)
    const { loadId, job, load: planned, paths, columns, beside, offload, lanes } = request
    const found = await targetColumns(this.session, planned.table)
    if (found.length === 0) return []
    // Columns that the load will add, or change, refuse nothing.
    const { changed } = fittingOf(planned, found)
    const load = {
      ...planned,
      columns: planned.columns.filter(({ name }) => columnCalled(found, name) && !changed.includes(name)),
    }
    await ensureState(this.session)
    const staged = stagingName(this.session, loadId, load.table, 'fit')
    const run = async (sql: string) => (await this.session.query(sql, [], signal)).rows
    const made = columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    await run(`DROP TABLE IF EXISTS ${staged}; CREATE UNLOGGED TABLE ${staged} (${made.join(', ')});
      COMMENT ON TABLE ${staged} IS ${ownComment(this.session, job, loadId)}`)
    try {
      const { access } = this.session
      const where = `${access.name}.${load.table}`
      await copyParts(
        access,
        { table: staged, columns, paths },
        { where, lanes, offload, progress() {} },
        signal,
      )
      const rejects: RejectedRow[] = []
      const take = async (condition: string, reason: string) => {
        const rows = await run(
          `DELETE FROM ${staged} AS _nf_s WHERE ${condition} RETURNING ${REJECT_ROW} AS row, ${reason} AS reason`,
        )
        for (const row of rows) rejects.push({ row: Number(row.row), reason: row.reason! })
      }
      for (const { name, column, condition } of await refusals(this.session, load, found))
        await take(
          condition,
          `${quoteLiteral(`${name}: `)} || quote_literal(left(${quoteIdent(name)}::text, 100)) || ${quoteLiteral(` does not fit ${column.domain ?? column.native}`)}`,
        )
      for (const { column, condition, fault } of strayBlanks(load, found))
        await take(condition, `${shownValues([column.name])} || ${quoteLiteral(` ${fault}`)}`)
      for (const { name, notNull } of found)
        if (notNull && columnCalled(load.columns, name))
          await take(`${quoteIdent(name)} IS NULL`, quoteLiteral(`${name}: may not be NULL`))
      const { cast } = expressions(load, found)
      const sql = uniqueSql(load, found, staged, REJECT_ROW)
      for (const constraint of await this.constraints(load, beside)) {
        const { name, definition, expression, parent, parentColumns } = constraint
        const typed = load.columns.map(
          column =>
            `(${cast(column.name, `_nf_t.${quoteIdent(column.name)}`)})::${columnCalled(found, column.name)!.native} AS ${quoteIdent(column.name)}`,
        )
        const refused = expression
          ? `${REJECT_ROW} IN (SELECT ${REJECT_ROW} FROM (SELECT _nf_t.${REJECT_ROW}, ${typed.join(', ')} FROM ${staged} AS _nf_t) AS _nf_t WHERE (${expression}) IS FALSE)`
          : `${constraint.columns.map(column => `_nf_s.${quoteIdent(column)} IS NOT NULL`).join(' AND ')}
              AND NOT EXISTS (SELECT 1 FROM ${parent} AS p WHERE ${constraint.columns
                .map((column, i) => `p.${quoteIdent(parentColumns[i]!)} = ${sql.typed(column, '_nf_s')}`)
                .join(' AND ')})`
        await take(
          refused,
          `${shownValues(constraint.columns)} || ${quoteLiteral(` violates ${name}: ${definition}`)}`,
        )
      }
      const keyed = load.key.length > 0 && load.key.every(name => columnCalled(load.columns, name))
      const clash = keyed ? keyClashSql(load, found) : undefined
      if (clash) {
        const nth = `SELECT _nf_more FROM (${clash.grouped(staged, `_nf_s.${REJECT_ROW}`)}) AS g WHERE _nf_nth > 1`
        const reason = (text: string) =>
          `${clash.shown('_nf_s')} || ${quoteLiteral(` ${text}: ${clash.among}`)}`
        await take(`${REJECT_ROW} IN (${nth})`, reason('is the key of another row, too, for the table'))
        await take(
          `EXISTS (SELECT 1 FROM ${quoteTable(load.table)} AS _nf_t WHERE ${clash.withTarget})`,
          reason('is the key of another row that the table has'),
        )
      }
      const uniques = keyed ? await uniquesOf(this.session, load) : []
      for (const columns of judgedUniques(
        load,
        uniques.map(({ columns }) => columns),
      ))
        for (const { condition, text } of uniqueClashes(load, columns, sql))
          await take(condition, `${shownValues(columns)} || ${quoteLiteral(` ${text}`)}`)
      return rejects
    } finally {
      await this.session.query(`DROP TABLE IF EXISTS ${staged}`).catch(() => {})
    }
  }

  private async constraints({ table, columns }: PlannedLoad, beside: string[]): Promise<Constraint[]> {
    const names = (keys: string, relation: string) =>
      `(SELECT json_agg(a.attname ORDER BY k.nth) FROM unnest(${keys}) WITH ORDINALITY AS k(number, nth)
        JOIN pg_attribute AS a ON a.attrelid = ${relation} AND a.attnum = k.number)::text`
    const others = [table, ...beside].map(name => `to_regclass(${quoteLiteral(quoteTable(name))})`).join(', ')
    const { rows } = await this.session.query(
      `SELECT conname AS name, pg_get_constraintdef(f.oid) AS definition, pg_get_expr(conbin, conrelid) AS expression,
         ${names('conkey', 'conrelid')} AS columns, CASE contype WHEN 'f' THEN confrelid::regclass::text END AS parent,
         ${names('confkey', 'confrelid')} AS parent_columns
       FROM pg_constraint AS f LEFT JOIN pg_class AS p ON p.oid = confrelid WHERE conrelid = to_regclass($1) AND (contype = 'c' OR (contype = 'f'
         AND confrelid NOT IN (SELECT o FROM unnest(ARRAY[${others}]::oid[]) AS o WHERE o IS NOT NULL)
         AND ${readableSql('p')}))
       ORDER BY contype, conname`,
      [quoteTable(table)],
    )
    return rows
      .map(row => ({
        name: row.name!,
        definition: row.definition!,
        columns: JSON.parse(row.columns ?? '[]') as string[],
        expression: row.expression!,
        parent: row.parent!,
        parentColumns: JSON.parse(row.parent_columns ?? '[]') as string[],
      }))
      .filter(found => found.columns.length > 0 && found.columns.every(name => columnCalled(columns, name)))
  }
}

/** SQL text of staged values with their columns' names. */
const shownValues = (columns: string[]) =>
  `concat_ws(', ', ${columns
    .map(
      column =>
        `${quoteLiteral(`${column} `)} || coalesce(quote_literal(left(${quoteIdent(column)}::text, 100)), 'NULL')`,
    )
    .join(', ')})`
