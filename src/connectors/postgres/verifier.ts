import { type RowSum, RowSummer } from '../../../engine/batch/rowSum.ts'
import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import type { ReadBack, Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { aliveSql, keyColumns, sameKey } from '../sql/dialect.ts'
import { comparable } from './comparable.ts'
import { interruptOn, quoteIdent, quoteTable } from './connect.ts'
import { copyOut } from './copyOut.ts'
import { describeTable } from './describe.ts'
import { columnCalled, expressions } from './merge.ts'
import { LIMITS, sameTypes, summing } from './readBack.ts'
import type { TargetSession } from './session.ts'
import { stagingNames } from './staging.ts'
import { targetColumns } from './state.ts'
import { DIALECT } from './table.ts'
import { selectExpression } from './types.ts'

/** Reads rows of a table back by COPY, in the transaction of the session: what it has written is seen by it alone. */
export class PostgresVerifier implements Verifier {
  private readonly session: TargetSession
  /** By load and table: of tables that were read back before they were put in place. */
  private readonly known = new Map<string, RowSum>()

  constructor(session: TargetSession) {
    this.session = session
  }

  async comparable(load: PlannedLoad, signal: AbortSignal) {
    this.session.heed(signal)
    const columns = await targetColumns(this.session, load.table)
    if (columns.length === 0)
      throw new EngineError('TABLE_MISSING', `${this.session.access.name}: there is no table ${load.table}`, {
        hint: 'Run the job: its load makes the table.',
      })
    return comparable(load, columns)
  }

  async read({ sink, ...request }: ReadBack, signal: AbortSignal): Promise<void> {
    const { sql, where, columns } = await this.query(request)
    await this.copy(sql, where, columns, sink, signal)
  }

  async sum(request: Omit<ReadBack, 'sink'>, signal: AbortSignal): Promise<RowSum | undefined> {
    const known = this.known.get(knownAs(request.loadId, request.load))
    if (known) return known
    const { sql, where, columns } = await this.query(request)
    if (!sameTypes(request.columns, columns)) return undefined
    const summer = new RowSummer()
    await this.copy(sql, where, columns, summing(summer), signal)
    return summer.sum
  }

  /** Says what {@link sum} gives of a table. */
  know(loadId: string, load: PlannedLoad, sum: RowSum): void {
    this.known.set(knownAs(loadId, load), sum)
  }

  /** What was said of tables is said no more: they may never have been put in place. */
  forget(): void {
    this.known.clear()
  }

  private async copy(sql: string, where: string, columns: Column[], sink: Sink, signal: AbortSignal) {
    const client = await this.session.client()
    const release = interruptOn(signal, client)
    try {
      await copyOut(client, sql, { where, columns, limits: LIMITS }, sink)
    } finally {
      release()
    }
  }

  /** The query that reads the rows back, and what it gives. */
  private async query({ loadId, load, columns, of, staged }: Omit<ReadBack, 'sink'>) {
    const client = await this.session.client()
    const where = `${this.session.access.name}.${load.table}`
    const schema = (await describeTable(client, where, load.table))!
    const { cast, differs } = expressions(load, await targetColumns(this.session, load.table))
    const names = stagingNames(this.session, loadId, load)
    const tables = {
      target: quoteTable(load.table),
      staging: names.rows,
      keys: names.keys,
      where,
      dialect: DIALECT,
      cast,
    }
    const read = columns.map(column => {
      const own = columnCalled(schema.columns, column.name)!
      return column.parsed ? { name: own.name, type: column.type, nullable: true, native: 'text' } : own
    })
    const values = columns.map((column, index) => {
      const value = `_nf_t.${quoteIdent(column.name)}`
      if (!column.parsed) return selectExpression(read[index]!, value)
      const sent = `_nf_s.${quoteIdent(column.name)}`
      return `CASE WHEN ${differs(column.name, value, cast(column.name, sent))} THEN ${value}::text ELSE ${sent} END`
    })
    const alive = aliveSql(load, name => `_nf_t.${quoteIdent(name)}`)
    const same = (alias: string) => sameKey(load, tables, '_nf_t', alias)
    const parsed = staged && columns.some(column => column.parsed)
    const rows = (join: string, list = values) =>
      `SELECT ${list.join(', ')} FROM ${tables.target} AS _nf_t ${join}${alive ? ` WHERE ${alive}` : ''}`
    const own = keyColumns(load as StagedLoad) === load.key
    const sql =
      of === 'all'
        ? rows(parsed ? `LEFT JOIN ${names.rows} AS _nf_s ON ${same('_nf_s')}` : '')
        : [
            rows(`JOIN ${names.rows} AS _nf_s ON ${same('_nf_s')}`),
            ...(own
              ? [
                  rows(
                    `JOIN ${names.keys} AS k ON ${same('k')}`,
                    columns.map((column, index) =>
                      column.parsed
                        ? `_nf_t.${quoteIdent(column.name)}::text`
                        : selectExpression(read[index]!, `_nf_t.${quoteIdent(column.name)}`),
                    ),
                  ),
                ]
              : []),
          ].join(' UNION ALL ')
    return { sql, where, columns: read }
  }
}

const knownAs = (loadId: string, { table }: PlannedLoad) => JSON.stringify([loadId, table])
