import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { updatedColumns } from '../../../engine/contracts/semantics.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { hasName } from './names.ts'
import type { GoneRows, ReferringKey, ReferringSql } from './referringKeys.ts'

/** The rows of a table in which one of some columns is about to change. */
export type ChangingRows = (changed: string[]) => GoneRows

/**
 * What the server changes by itself, in rows of tables that the job does not load, where values that they refer to change: a
 * line for each foreign key. Fails with CONSTRAINT_VIOLATED where it would change a row of a table that the job loads, and
 * nothing that is loaded here gives the row its values: they would differ from the data set's for good. `name`: the table, for
 * people; `columns`: its columns that may change.
 */
export async function changedLines(
  sql: ReferringSql,
  name: string,
  columns: string[],
  changing: ChangingRows,
  { table, seen = [] }: { table?: string; seen?: string[] } = {},
): Promise<string[]> {
  const lines: string[] = []
  for (const key of await sql.keysTo(table)) {
    const changed = columns.filter(column => hasName(key.to, column))
    if (!key.onUpdate || changed.length === 0) continue
    const list = (names: string[]) => names.map(each => `_nf_t.${sql.quote(each)}`).join(', ')
    const refers = `(${list(key.columns)}) IN (${changing(changed)(key.to)})`
    const count = (more = '') =>
      sql.count(
        `SELECT count(*) AS n FROM (SELECT 1 AS one FROM ${key.table} AS _nf_t WHERE ${refers}${more}) AS found`,
      )
    const rows = key.unreadable ? undefined : await count()
    if (rows === 0) continue
    const by = `by ${key.constraint} (ON UPDATE ${key.onUpdate})`
    const values = key.columns.join(', ')
    if (rows !== undefined && (key.loaded || seen.includes(key.constraint))) {
      const given = (await key.given?.()) ?? 'FALSE'
      const wrong = await count(` AND NOT (${given})`)
      if (wrong)
        throw new EngineError(
          'CONSTRAINT_VIOLATED',
          `${key.name}: ${counted(wrong, 'row')} ${wrong === 1 ? 'refers' : 'refer'} (${values}) to values of ${name} that change, and the server would change ${wrong === 1 ? 'its' : 'their'} ${values} ${by}`,
          { hint: hint(key) },
        )
    }
    if (!key.loaded || rows === undefined) {
      const what = rows === undefined ? 'rows that we may not count' : counted(rows, 'row')
      lines.push(
        `${what} of ${key.name} that referred to ${table === undefined ? 'its changed values' : `changed values of ${name}`} ${rows === 1 ? 'was' : 'were'} given other values in ${values}, ${by}`,
      )
    }
    if (rows === undefined || seen.includes(key.constraint)) continue
    const follows = () => (names: string[]) =>
      `SELECT ${list(names)} FROM ${key.table} AS _nf_t WHERE ${refers}`
    const below = { table: key.table, seen: [...seen, key.constraint] }
    lines.push(...(await changedLines(sql, key.name, key.columns, follows, below)))
  }
  return lines
}

/** Condition on a row `_nf_t` of the table of a load: it gives the row its values of `columns`; `staged`: the row is among its rows. */
export async function givenSql(
  load: StagedLoad,
  columns: string[],
  staged: () => Promise<string>,
): Promise<string> {
  if (load.key.length === 0) return load.whole ? 'TRUE' : 'FALSE'
  const updated = load.mode === 'scd2' ? [] : updatedColumns(load)
  return columns.every(column => hasName(updated, column)) ? staged() : 'FALSE'
}

const hint = ({ name, constraint, loaded }: ReferringKey) =>
  `Nothing was loaded. Drop ${constraint}, which changes rows of ${name} that the data set does not${loaded === 'elsewhere' ? '; or have both tables loaded in one commit: without batch_rows, and with on_error: fail' : ''}.`
