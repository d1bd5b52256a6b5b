import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { RangeFinding, Verifier, VerifyRequest } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { findings } from '../sql/verify.ts'
import { matchStaged, matchTarget } from './changes.ts'
import { checksum, comparable } from './checksum.ts'
import { ask } from './connect.ts'
import { stagingName, targetTable } from './state.ts'
import type { TargetSession } from './targetSession.ts'
import { columnType, columnTypes } from './targetTypes.ts'
import { withTemporaryTables } from './temporaryTables.ts'
import { identifier, tableName } from './types.ts'

/** A result longer than max_allowed_packet became NULL. */
const TOO_LONG = '1301'

/** Verification in MySQL: what should be there goes into a staging table, one query joins and judges. */
export class MysqlVerifier implements Verifier {
  private readonly session: TargetSession

  constructor(session: TargetSession) {
    this.session = session
  }

  async comparable(load: PlannedLoad, signal: AbortSignal) {
    this.session.heed(signal)
    return comparable(load, await this.found(load))
  }

  async compare(request: VerifyRequest, signal: AbortSignal): Promise<RangeFinding[]> {
    this.session.heed(signal)
    const { loadId, job, load, compared, paths, columns, extra, offload, lanes } = request
    const table = await this.found(load)
    const expected = stagingName(this.session, loadId, load.table, 'verification')
    const types = columnTypes(
      { ...load, columns: columns.filter(({ name }) => load.key.includes(name)) },
      table,
    )
    const defined = columns.map(
      ({ name, type }) => `${identifier(name)} ${types.get(name) ?? columnType(type)}`,
    )
    // Only where the target's rows are looked up among the expected ones.
    if (extra) defined.push(`INDEX (${load.key.map(identifier).join(', ')})`)
    const where = `${this.session.access.name}.${load.table}`
    const temporary = { name: expected, defined, loadId, job, where, paths, columns, lanes, offload }
    return withTemporaryTables(this.session, temporary, signal, async () => {
      const tables = { target: tableName(load.table), staging: expected, keys: undefined, table, now: '' }
      return findings(
        load,
        extra,
        {
          target: tables.target,
          expected,
          quote: identifier,
          checksum: checksum(compared, table),
          text: expression => `CAST(${expression} AS CHAR)`,
          ofExpected: matchTarget(load.key, tables),
          ofTarget: matchStaged(load.key, tables),
        },
        sql => this.judged(load, sql, signal),
      )
    })
  }

  private async judged(load: PlannedLoad, sql: string, signal: AbortSignal) {
    const rows = await this.session.rows(sql, signal)
    const warnings = await ask<{ Code: string | number }>(await this.session.open(), 'SHOW WARNINGS', signal)
    if (warnings.some(({ Code }) => String(Code) === TOO_LONG))
      throw new EngineError(
        'TARGET_INCOMPATIBLE',
        `${this.session.access.name}.${load.table}: has rows longer than the server's max_allowed_packet, which it cannot compare`,
        { hint: 'The load is committed. Raise max_allowed_packet, or set verify: off for this load.' },
      )
    return rows
  }

  private async found(load: PlannedLoad) {
    const table = await targetTable(this.session, load.table)
    if (table) return table
    throw new EngineError('TABLE_MISSING', `${this.session.access.name}: there is no table ${load.table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
}
