import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { keyText } from './keyClash.ts'
import { checksOf, ofValues, typedColumns } from './rowValidator.ts'
import type { TargetSession } from './targetSession.ts'
import type { TargetTable } from './targetTypes.ts'
import { literal } from './types.ts'

/** Whether a table refused a value or a row. */
export const isRefused = (error: unknown): boolean =>
  error instanceof EngineError && (error.code === 'DATA_INVALID' || error.code === 'CONSTRAINT_VIOLATED')

/**
 * Which staged row a table refused: the server names the place in a statement's rows, which nobody knows. Of a value, with the
 * value; of a CHECK, by its key alone. Undefined where none is found.
 */
export async function findReject(
  session: TargetSession,
  load: StagedLoad,
  table: TargetTable,
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  const key = keyText(load, '_nf_s')
  const first = async (code: ErrorCode, sql: string) => {
    const [found] = await session.rows(sql)
    if (!found) return undefined
    const row = found.row_key === '' ? '' : ` (${found.row_key})`
    const more = Number(found.n) > 1 ? `; ${found.n} rows are refused so` : ''
    return new EngineError(code, `${where}: ${found.reason}${row}${more}`, {
      hint: `Nothing was loaded. Correct ${load.from}, or the table; or, with on_bad_row: quarantine in load.${load.table}, such rows go to the quarantine and the others are loaded.`,
    })
  }
  for (const column of load.columns)
    for (const { condition, reason } of ofValues(column, columnNamed(table.columns, column.name))) {
      const sql = `SELECT ${reason} AS reason, ${key} AS row_key, COUNT(*) OVER () AS n FROM ${staging} AS _nf_s WHERE ${condition} ORDER BY 2 LIMIT 1`
      const found = await first(/IS NULL$/.test(condition) ? 'CONSTRAINT_VIOLATED' : 'DATA_INVALID', sql)
      if (found) return found
    }
  for (const check of await checksOf(session, load)) {
    const rows = `(SELECT ${key} AS _nf_key, ${typedColumns(check, table).join(', ')} FROM ${staging} AS _nf_s) AS c`
    const reason = literal(`a row violates ${check.name}: CHECK (${check.clause})`)
    const sql = `SELECT ${reason} AS reason, _nf_key AS row_key, COUNT(*) OVER () AS n FROM ${rows} WHERE (${check.clause}) IS FALSE ORDER BY 2 LIMIT 1`
    const found = await first('CONSTRAINT_VIOLATED', sql)
    if (found) return found
  }
  return undefined
}
