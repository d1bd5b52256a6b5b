import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { RangeFinding, Verifier, VerifyRequest } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { findings } from '../sql/verify.ts'
import { checksum, comparable } from './checksum.ts'
import { quoteIdent, quoteTable } from './connect.ts'
import { expressions, stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'
import { copyParts, stagingName } from './staging.ts'
import { ensureState, ownComment, targetColumns } from './state.ts'

/** Verification in Postgres: what should be there goes into a staging table, one query joins and judges. */
export class PostgresVerifier implements Verifier {
  private readonly session: TargetSession

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

  async compare(request: VerifyRequest, signal: AbortSignal): Promise<RangeFinding[]> {
    this.session.heed(signal)
    const { loadId, job, load, compared, paths, columns, extra, offload, lanes } = request
    await ensureState(this.session)
    const expected = stagingName(this.session, loadId, load.table, 'verification')
    const run = (sql: string) => this.session.query(sql, [], signal)
    const made = columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    const comment = ownComment(this.session, job, loadId)
    await run(`DROP TABLE IF EXISTS ${expected}; CREATE UNLOGGED TABLE ${expected} (${made.join(', ')});
      COMMENT ON TABLE ${expected} IS ${comment}`)
    try {
      const { access } = this.session
      const where = `${access.name}.${load.table}`
      await copyParts(
        access,
        { table: expected, columns, paths },
        { where, lanes, offload, progress() {} },
        signal,
      )
      await run(`ANALYZE ${expected}`)
      const found = await targetColumns(this.session, load.table)
      const tables = {
        target: quoteTable(load.table),
        expected,
        quote: quoteIdent,
        cast: expressions(load, found).cast,
        checksum: checksum(compared, found),
        text: (expression: string) => `${expression}::text`,
      }
      return await findings(load, extra, tables, async sql => (await run(sql)).rows)
    } finally {
      await this.session.query(`DROP TABLE IF EXISTS ${expected}`).catch(() => {})
    }
  }
}
