import type { PlannedLoad } from '../contracts/load.ts'
import { ownColumns, periodType } from '../contracts/ownColumns.ts'
import { EngineError } from '../errors.ts'
import { quoteName } from '../sql/duckdb.ts'
import { seenType } from '../types/duckType.ts'
import { columnNamed } from '../types/logical.ts'

/**
 * Fails with CONFIG_INVALID where the columns that a target keeps for a load cannot go with the load's own or with each
 * other; or with TYPE_UNSUPPORTED where its `newer` orders no rows, or cannot say when a version begins.
 */
export function checkOwnColumns(load: PlannedLoad): void {
  const where = `load.${load.table}`
  const own = ownColumns(load)
  for (const [at, { name }] of own.entries()) {
    if (columnNamed(load.columns, name))
      throw new EngineError('CONFIG_INVALID', `${where}.${name}: the load keeps it itself`, {
        hint: `Leave ${name} out of ${load.from}, or name another column.`,
      })
    if (columnNamed(own.slice(0, at), name))
      throw new EngineError('CONFIG_INVALID', `${where}.${name}: the load keeps two columns of this name`, {
        hint: 'Give each of stamp, deleted_at and the columns of scd2 a name of its own.',
      })
  }
  const newer = load.newer === undefined ? undefined : columnNamed(load.columns, load.newer)
  // Of a UUID the text has the order of the values.
  if (newer?.notation && newer.duck !== 'UUID') {
    const name = quoteName(newer.name)
    throw new EngineError(
      'TYPE_UNSUPPORTED',
      `${where}: column ${newer.name} of ${load.from} has type ${newer.origin?.type ?? seenType(newer)}, whose text orders no rows`,
      {
        hint: `Load a model that gives it a type with an order: SELECT * REPLACE (CAST(${name} AS DECIMAL(38, 6)) AS ${name}) FROM ${load.from}; or leave newer out.`,
      },
    )
  }
  if (load.mode !== 'scd2' || ['date', 'timestamp'].includes(periodType(load).kind)) return
  throw new EngineError(
    'CONFIG_INVALID',
    `${where}: ${load.newer} cannot say when a version begins: its type is ${periodType(load).kind}`,
    { hint: 'Take a date or a timestamp, or leave newer out: versions then begin with the run.' },
  )
}
