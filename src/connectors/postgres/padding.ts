import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { keyClash } from './keyClash.ts'
import { type Brought, columnCalled, type TargetColumn } from './merge.ts'
import type { TargetSession } from './session.ts'
import { FAMILY } from './types.ts'

/** Staged values of a column whose blanks at the end tell rows apart, which the table's char(n) does not keep. */
export interface StrayBlanks {
  column: TargetColumn
  /** SQL of which they are. */
  condition: string
  /** What is said of one, after it. */
  fault: string
}

/** SQL of values whose blanks at the end are not their own type's, for which they tell nothing apart; undefined where none are. */
function strayOf({ origin }: Brought, value: string): string | undefined {
  const own = origin?.family === FAMILY ? origin.type : ''
  if (own === 'bpchar') return undefined
  const [, length] = /^character\((\d+)\)$/.exec(own) ?? []
  return `${value} LIKE '% '${length === undefined ? '' : ` AND char_length(${value}) <> ${length}`}`
}

/** Of the columns by which a load finds rows: two that are one for the table would take each other's place in silence. */
export function strayBlanks(
  { columns, key, partitionBy }: PlannedLoad,
  found: TargetColumn[],
): StrayBlanks[] {
  return [...new Set([...key, ...partitionBy])].flatMap(name => {
    const column = columnCalled(found, name)
    const brought = columnCalled(columns, name)
    if (column?.typname !== 'bpchar' || brought?.type.kind !== 'text') return []
    const condition = strayOf(brought, quoteIdent(name))
    const fault = `ends in blanks, which ${column.native} does not keep`
    return condition === undefined ? [] : [{ column, condition, fault }]
  })
}

/** Fails with DATA_INVALID, or with CONSTRAINT_VIOLATED where two keys are one, at the first such value. */
export async function refuseStrayBlanks(
  session: TargetSession,
  load: PlannedLoad,
  columns: TargetColumn[],
  staging: string,
  where: string,
): Promise<void> {
  for (const { column, condition, fault } of strayBlanks(load, columns)) {
    const name = quoteIdent(column.name)
    const { rows } = await session.query(
      `SELECT left(${name}, 100) AS value FROM ${staging} WHERE ${condition} ORDER BY 1 LIMIT 1`,
    )
    const [found] = rows
    if (!found) continue
    const clash = await keyClash(session, load, columns, staging, where)
    if (clash) throw clash
    throw new EngineError('DATA_INVALID', `${where}.${column.name}: ${quoteLiteral(found.value!)} ${fault}`, {
      hint: `Nothing was loaded. Write rtrim(${column.name}, ' ') AS ${column.name} in ${load.from}, or let the table keep them: ALTER TABLE ${quoteTable(load.table)} ALTER COLUMN ${name} TYPE text;`,
    })
  }
}
