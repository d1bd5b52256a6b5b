import { columnNamed, type LogicalType } from '../types/logical.ts'
import type { PlannedLoad } from './load.ts'
import { markColumn } from './semantics.ts'

/** A column that the target keeps for a load beside those of the data set. */
export interface OwnColumn {
  name: string
  type: LogicalType
  nullable: boolean
}

const INSTANT: LogicalType = { kind: 'timestamp', zoned: true }

/** Type of a version's begin and end under scd2: that of `newer`, or an instant. */
export function periodType(load: PlannedLoad): LogicalType {
  return load.newer === undefined ? INSTANT : columnNamed(load.columns, load.newer)!.type
}

/** The columns that the target keeps for a load itself: stamp, time of deletion, period of a version. */
export function ownColumns(load: PlannedLoad): OwnColumn[] {
  const { mode, stamp, scd2 } = load
  const columns: OwnColumn[] = []
  if (mode === 'scd2')
    columns.push(
      { name: scd2.validFrom, type: periodType(load), nullable: false },
      { name: scd2.validTo, type: periodType(load), nullable: true },
      { name: scd2.current, type: { kind: 'bool' }, nullable: false },
    )
  if (stamp !== undefined) columns.push({ name: stamp, type: INSTANT, nullable: true })
  const mark = markColumn(load)
  if (mark !== undefined) columns.push({ name: mark, type: INSTANT, nullable: true })
  return columns
}
