import type { Target } from '../contracts/target.ts'
import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'
import type { RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { parquetSql } from '../sql/files.ts'
import { pathsOf } from '../staging/store.ts'
import type { CommitBatch } from './commits.ts'

/** Rows that a message names. */
const SHOWN = 3
/** Characters of a value that it shows. */
const LENGTH = 60

/**
 * A failure to send rows, by the rows that the target cannot be sent: what writes them knows no more of a row than its place
 * in a part. Any other failure as it is.
 */
export async function unsendable(
  { duck, root, mask }: Pick<RunContext, 'duck' | 'root' | 'mask'>,
  target: Target,
  { load, rows }: Pick<CommitBatch, 'load' | 'rows'>,
  failure: unknown,
): Promise<unknown> {
  if (!(failure instanceof EngineError) || failure.code !== 'DATA_INVALID') return failure
  const { key, sensitive = [] } = load
  for (const { column, condition, reason } of target.rowValidator?.unsendable(load) ?? []) {
    const shown = [...key, column].map((name, index) => `${quoteName(name)}::VARCHAR AS c${index}`)
    const found = await duck.rows(
      `SELECT ${shown.join(', ')}, count(*) OVER () AS number FROM ${parquetSql(pathsOf(root, rows))} WHERE ${condition} LIMIT ${SHOWN}`,
    )
    if (found.length === 0) continue
    const names = found.map(row => {
      const value = (name: string, index: number) =>
        mask.value(sensitive, name, row[`c${index}`] as string | null)
      const own = key.map((name, index) => `${name} = ${value(name, index)}`)
      const what = JSON.stringify(value(column, key.length)?.slice(0, LENGTH))
      return own.length > 0 ? `${own.join(', ')}: ${what}` : what
    })
    const number = Number(found[0]!.number)
    const more = number > found.length ? ` and ${number - found.length} more` : ''
    return new EngineError(
      'DATA_INVALID',
      `${load.to}.${load.table}: ${reason}, in ${counted(number, 'row')} (${names.join('; ')}${more})`,
      {
        cause: failure,
        hint: `Nothing was loaded. Write on_bad_row: quarantine into load.${load.table}, and such rows go to the quarantine; or have ${load.from} give other values.`,
      },
    )
  }
  return failure
}
