import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import { goneRows } from '../../../engine/contracts/semantics.ts'
import type { ComparedColumn, ReadBack, Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { aliveSql } from '../sql/dialect.ts'
import { equals, type LoadTables, matchStaged, matchTarget } from './changes.ts'
import { comparable } from './comparable.ts'
import { ResultReader, readResult } from './result.ts'
import { stagingNames, stagingTables, targetTable } from './state.ts'
import type { TargetSession } from './targetSession.ts'
import { identifier, logicalColumn, selectExpression } from './types.ts'

/** Rows and bytes of a batch. */
const LIMITS = { rows: 1 << 16, bytes: 1 << 23 }

/** Reads rows of a table back as row packets, in the transaction of the session: what it has written is seen by it alone. */
export class MysqlVerifier implements Verifier {
  private readonly session: TargetSession

  constructor(session: TargetSession) {
    this.session = session
  }

  async comparable(load: PlannedLoad, signal: AbortSignal) {
    this.session.heed(signal)
    return comparable(load, await this.found(load))
  }

  async read({ loadId, load, columns, of, staged, sink }: ReadBack, signal: AbortSignal): Promise<void> {
    this.session.heed(signal)
    const table = await this.found(load)
    const where = `${this.session.access.name}.${load.table}`
    const names = stagingNames(this.session, loadId, load)
    const tables: LoadTables = {
      target: this.session.quoted(load.table),
      staging: names.staging,
      keys: undefined,
      columns: load.columns,
      table,
      now: '',
    }
    const read = columns.map(column =>
      logicalColumn(
        where,
        columnNamed(table.columns, column.name)!,
        column.type.kind === 'text' ? 'text' : undefined,
      ),
    )
    const value = (column: ComparedColumn, index: number, against: boolean) => {
      const ours = `_nf_t.${identifier(column.name)}`
      if (!column.parsed) return selectExpression(read[index]!, ours)
      const text = `CAST(${ours} AS CHAR)`
      return against ? `IF(${equals(column.name, tables)}, _nf_s.${identifier(column.name)}, ${text})` : text
    }
    const alive = aliveSql(load, name => `_nf_t.${identifier(name)}`)
    const rows = async (from: string, against: boolean) => {
      const list = columns.map((column, index) => value(column, index, against)).join(', ')
      const session = await this.session.open(signal)
      const sql = `SELECT ${list} FROM ${from}${alive ? ` WHERE ${alive}` : ''}`
      const part = { extract: load.table, where, columns: read, key: load.key, options: {}, limits: LIMITS }
      await readResult(session, sql, new ResultReader(part, '', batch => sink.write(batch)))
    }
    const parsed = staged && columns.some(column => column.parsed)
    if (of === 'all') {
      const beside = parsed ? ` LEFT JOIN ${names.staging} AS _nf_s ON ${matchStaged(load.key, tables)}` : ''
      return rows(`${tables.target} AS _nf_t${beside}`, parsed)
    }
    const joined = (staging: string, alias: string) =>
      `${staging} AS ${alias} STRAIGHT_JOIN ${tables.target} AS _nf_t ON ${matchTarget(load.key, tables, alias)}`
    await rows(joined(names.staging, '_nf_s'), true)
    const keyed = goneRows(load as StagedLoad) === 'named'
    const keys = keyed && (await stagingTables(this.session)).some(found => found.table === names.keys)
    if (keys) await rows(joined(names.keys, 'k'), false)
  }

  private async found(load: PlannedLoad) {
    const table = await targetTable(this.session, load.table)
    if (table) return table
    throw new EngineError('TABLE_MISSING', `${this.session.access.name}: there is no table ${load.table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
}
