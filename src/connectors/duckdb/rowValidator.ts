import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import {
  REJECT_ROW,
  type RejectedRow,
  type RejectsRequest,
  type RowValidator,
  type Unsendable,
} from '../../../engine/contracts/rowValidation.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { type Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetSql } from '../../../engine/sql/files.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { judgedUniques, uniqueClashes } from '../sql/uniques.ts'
import type { TargetTable } from './catalog.ts'
import { expressions, ofTable, qualified, split } from './columns.ts'
import { exactSql } from './exact.ts'
import { fittingOf } from './fitting.ts'

/** Where the rows that are judged are, in the session that loads them. */
const STAGED = quoteName('nightfreight rows to judge')
/** Characters of a value that a reason shows. */
const SHOWN = 100

/**
 * Rows that a table refuses: first those whose values its types do not hold, then NULLs, CHECKs, foreign keys and unique
 * columns beside the key, each among the rows that are left. Not judged: constraints on columns that are not loaded,
 * foreign keys to tables of the same commit.
 */
export class DuckdbRowValidator implements RowValidator {
  private readonly open: () => Promise<Duck>
  private readonly table: (name: string) => Promise<TargetTable | undefined>

  constructor(open: () => Promise<Duck>, table: (name: string) => Promise<TargetTable | undefined>) {
    this.open = open
    this.table = table
  }

  unsendable(): Unsendable[] {
    return []
  }

  async findRejects({ load: planned, paths, beside }: RejectsRequest): Promise<RejectedRow[]> {
    const duck = await this.open()
    const table = await this.table(planned.table)
    if (!table) return []
    // Columns that the load will add, or change, refuse nothing.
    const { changed } = fittingOf(planned, table)
    const columns = planned.columns.filter(
      ({ name }) => columnNamed(table.columns, name) && !changed.includes(name),
    )
    const load = { ...planned, columns }
    const rejects: RejectedRow[] = []
    await duck.run(`CREATE OR REPLACE TEMP TABLE ${STAGED} AS FROM ${parquetSql(paths)}`)
    try {
      for (const { condition, reason } of await refusals(duck, load, table, beside)) {
        const rows = await duck.rows(
          `SELECT ${REJECT_ROW} AS row, ${reason} AS reason FROM ${STAGED} AS _nf_s WHERE ${condition}`,
        )
        if (rows.length === 0) continue
        for (const { row, reason } of rows) rejects.push({ row: Number(row), reason: String(reason) })
        await duck.run(`DELETE FROM ${STAGED} AS _nf_s WHERE ${condition}`)
      }
      return rejects
    } finally {
      await duck.run(`DROP TABLE IF EXISTS ${STAGED}`)
    }
  }
}

/**
 * Which of a load's rows its table refused, by key: DuckDB names neither table nor row. `rows`: where they are in the session
 * that loads them. Undefined where none is found.
 */
export async function findReject(
  duck: Duck,
  { load: planned, table }: { load: PlannedLoad; table: TargetTable },
  rows: string,
  beside: string[],
  where: string,
): Promise<EngineError | undefined> {
  const load = { ...planned, columns: planned.columns.filter(({ name }) => columnNamed(table.columns, name)) }
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE ${STAGED} AS SELECT *, row_number() OVER () AS ${REJECT_ROW} FROM ${rows}`,
  )
  try {
    for (const { condition, reason } of await refusals(duck, load, table, beside)) {
      const key = load.key.map(labelled)
      const [found] = await duck.rows(
        `SELECT ${reason} AS reason, concat_ws(', ', ${[...key, 'NULL'].join(', ')}) AS key, count(*) OVER () AS n
         FROM ${STAGED} AS _nf_s WHERE ${condition} ORDER BY 2 LIMIT 1`,
      )
      if (!found) continue
      const row = found.key ? ` (${found.key})` : ''
      const more = Number(found.n) > 1 ? `; ${counted(Number(found.n), 'row')} are refused so` : ''
      const text = String(found.reason)
      return new EngineError(
        / does not fit [^']*$/.test(text) ? 'DATA_INVALID' : 'CONSTRAINT_VIOLATED',
        `${where}: ${text}${row}${more}`,
        {
          hint: `Nothing was loaded. Correct ${load.from}, or the table; or, with on_bad_row: quarantine in load.${load.table}, such rows go to the quarantine and the others are loaded.`,
        },
      )
    }
    return undefined
  } finally {
    await duck.run(`DROP TABLE IF EXISTS ${STAGED}`)
  }
}

/** Fails with DATA_INVALID, naming the first, where rows have values that their table would round; `rows`: as {@link findReject} has them. */
export async function refuseInexact(
  duck: Duck,
  load: { load: PlannedLoad; table: TargetTable },
  rows: string,
  beside: string[],
  where: string,
): Promise<void> {
  const inexact = load.load.columns.flatMap(column => inexactSql(column, load.table) ?? [])
  if (inexact.length === 0) return
  const found = await duck.rows(`SELECT 1 AS one FROM ${rows} AS _nf_s WHERE ${inexact.join(' OR ')} LIMIT 1`)
  const error = found.length > 0 && (await findReject(duck, load, rows, beside, where))
  if (error) throw error
}

/** Condition on a staged row `_nf_s`: a column rounds its value; undefined where it rounds none. */
function inexactSql(column: Column, { columns }: TargetTable): string | undefined {
  const there = columnNamed(columns, column.name)
  const exact = there && exactSql(column, there.native, `_nf_s.${quoteName(column.name)}`)
  return exact && `NOT coalesce(${exact}, true)`
}

/** Conditions on staged rows `_nf_s` that the table refuses, and SQL of why. */
async function refusals(duck: Duck, load: PlannedLoad, table: TargetTable, beside: string[]) {
  const { cast } = expressions(load, table.columns, table.folds)
  const typed = (name: string, alias: string) => cast(name, `${alias}.${quoteName(name)}`)
  const found: { condition: string; reason: string }[] = []
  for (const column of load.columns) {
    const { name } = column
    const { native } = columnNamed(table.columns, name)!
    const own = `_nf_s.${quoteName(name)}`
    const value = typed(name, '_nf_s')
    // Of a nested value, TRY_CAST would give the parts that it holds.
    const held = /[[(]/.test(native) ? `TRY(${value})` : `TRY_CAST(${own} AS ${native})`
    const inexact = inexactSql(column, table)
    if (value === `CAST(${own} AS ${native})`)
      found.push({
        condition: `${own} IS NOT NULL AND (${held} IS NULL${inexact ? ` OR ${inexact}` : ''})`,
        reason: `${quote(`${name}: `)} || ${shown(own)} || ${quote(` does not fit ${native}`)}`,
      })
  }
  for (const { name, nullable } of table.columns)
    if (!nullable && columnNamed(load.columns, name))
      found.push({ condition: `_nf_s.${quoteName(name)} IS NULL`, reason: quote(`${name}: may not be NULL`) })
  const [schema] = split(load.table)
  const constraints = await duck.rows(
    `SELECT constraint_type AS kind, constraint_text AS text, expression, to_json(constraint_column_names)::VARCHAR AS names,
       referenced_table AS parent, to_json(referenced_column_names)::VARCHAR AS parent_names
     FROM duckdb_constraints() WHERE ${ofTable(load.table)}`,
  )
  const uniques: string[][] = []
  for (const { kind, text, expression, names, parent, parent_names } of constraints) {
    const own = JSON.parse(String(names)) as string[]
    if (own.length === 0 || !own.every(name => columnNamed(load.columns, name))) continue
    const reason = `${own.map(labelled).join(` || ', ' || `)} || ${quote(` violates ${text}`)}`
    if (kind === 'UNIQUE') uniques.push(own)
    if (kind === 'CHECK') {
      const values = own.map(name => `${typed(name, '_nf_t')} AS ${quoteName(name)}`)
      found.push({
        condition: `${REJECT_ROW} IN (SELECT ${REJECT_ROW} FROM (SELECT _nf_t.${REJECT_ROW}, ${values.join(', ')} FROM ${STAGED} AS _nf_t) WHERE (${expression}) IS FALSE)`,
        reason,
      })
    }
    if (kind !== 'FOREIGN KEY' || [load.table, ...beside].some(other => split(other)[1] === parent)) continue
    const theirs = JSON.parse(String(parent_names)) as string[]
    const same = own.map((name, index) => `p.${quoteName(theirs[index]!)} = ${typed(name, '_nf_s')}`)
    found.push({
      condition: `${own.map(name => `_nf_s.${quoteName(name)} IS NOT NULL`).join(' AND ')} AND NOT EXISTS (SELECT 1
        FROM ${quoteName(schema)}.${quoteName(String(parent))} AS p WHERE ${same.join(' AND ')})`,
      reason,
    })
  }
  const keyed = load.key.length > 0 && load.key.every(name => columnNamed(load.columns, name))
  const indexed = table.indexes.flatMap(({ columns, unique }) => (unique && columns ? [columns] : []))
  const names = { quote: quoteName, staged: STAGED, row: REJECT_ROW, target: qualified(load.table), typed }
  for (const columns of judgedUniques(load, keyed ? [...uniques, ...indexed] : []))
    for (const { condition, text } of uniqueClashes(load, columns, names)) {
      const values = columns.map(labelled)
      found.push({ condition, reason: `${values.join(` || ', ' || `)} || ${quote(` ${text}`)}` })
    }
  return found
}

/** SQL of a staged row's column and its value, for people. */
export const labelled = (name: string) => `${quote(`${name} `)} || ${shown(`_nf_s.${quoteName(name)}`)}`

/** SQL of a value in quotes. */
const shown = (value: string) =>
  `coalesce('''' || replace(left(${value}::VARCHAR, ${SHOWN}), '''', '''''') || '''', 'NULL')`
