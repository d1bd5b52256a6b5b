import type { PlannedLoad } from '../contracts/load.ts'
import { markColumn, removesGone } from '../contracts/semantics.ts'
import type { TableStanding, TableState } from '../contracts/target.ts'
import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'

/** A target's table as it was found before its load. */
export interface TableLook {
  now: TableState | undefined
  /** Why it is not what the last commit left. */
  reason?: string
}

/**
 * Why a table is not what the last commit left of it, so that no difference from that can be loaded; undefined where it
 * is. Pure.
 */
export function disturbance({ now, left }: TableStanding): string | undefined {
  if (!now)
    return left
      ? `the table that run ${left.run} left is gone: dropped or renamed, or this is another database`
      : 'there is no such table'
  if (!left) return 'no load has noted what it left in the table'
  if (now.identity !== left.identity)
    return `the table is not the one that run ${left.run} left: it was dropped and made anew, restored, or altered`
  if (now.rows !== left.rows)
    return `the table has ${counted(now.rows, 'row')}, and run ${left.run} left ${left.rows}`
  return undefined
}

/** What becomes of the rows of a table that a job loads for the first time. Pure. */
export function foreignRows(load: PlannedLoad, { rows }: TableState): string {
  const gone = !removesGone(load)
    ? 'stay'
    : load.mode === 'scd2'
      ? 'are ended'
      : markColumn(load) !== undefined
        ? 'are marked'
        : 'are deleted'
  const changed =
    load.key.length === 0
      ? `those that ${load.from} has not are deleted`
      : load.mode === 'append'
        ? 'they stay as they are'
        : `those that differ are changed, those that ${load.from} has not ${gone}`
  return `the table has ${counted(rows, 'row')} that this job never loaded: ${changed}`
}

/**
 * Fails with RUN_OUTDATED where a history would be written by a run whose time lies before that of the last one: a
 * version would end before it begins.
 */
export function checkRunTime({ mode, to, table }: PlannedLoad, runAt: Date, { left }: TableStanding): void {
  if (mode !== 'scd2' || !left || runAt.getTime() >= Date.parse(left.runAt)) return
  throw new EngineError(
    'RUN_OUTDATED',
    `${to}.${table}: the run's time, ${runAt.toISOString()}, lies before ${left.runAt}, that of run ${left.run}, which loaded this history last`,
    {
      hint: "Nothing was loaded. Set the machine's clock right, or leave --at out: a run of now loads all that this one would have.",
    },
  )
}
