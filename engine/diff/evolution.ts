import type { PlannedLoad } from '../contracts/load.ts'
import type { RunContext } from '../runtime/context.ts'
import { readManifest, writeManifest } from '../staging/store.ts'
import { columnNamed } from '../types/logical.ts'
import { widens } from '../types/widen.ts'
import { type LoadState, stateManifest } from './state.ts'

/** A load with how its columns differ from those that `run` loaded, as far as that is known: its table may have to follow. */
export async function evolved(
  { staging, spec }: RunContext,
  load: PlannedLoad,
  run: string | undefined,
): Promise<PlannedLoad> {
  const left = run && (await readManifest<LoadState>(staging, stateManifest(spec.job, run, load.table)))
  if (!left) return load
  const pairs = load.columns.flatMap(now => {
    const before = columnNamed(left.columns, now.name)
    return before ? [{ now, before }] : []
  })
  const widened = pairs.filter(({ now, before }) => widens(before.type, now.type))
  const changed = pairs.filter(
    ({ now, before }) =>
      (before.origin && before.origin.type !== now.origin?.type) || (!before.nullable && now.nullable),
  )
  const gone = left.columns.filter(({ name }) => !columnNamed(load.columns, name))
  return {
    ...load,
    ...(widened.length > 0 && { widened: widened.map(({ now }) => now.name) }),
    ...(changed.length > 0 && { was: changed.map(({ before }) => before) }),
    ...(gone.length > 0 && { gone: gone.map(({ name }) => name) }),
  }
}

/**
 * Has what `run` loaded into a table go on as what is known of it: this run loads other tables of the target, and has
 * no change set of this one.
 */
export async function leaveAsLoaded(
  { staging, spec, run: own }: RunContext,
  table: string,
  run: string | undefined,
): Promise<void> {
  const left = run && (await readManifest<LoadState>(staging, stateManifest(spec.job, run, table)))
  if (left) await writeManifest(staging, stateManifest(spec.job, own, table), left)
  else await staging.withdraw(stateManifest(spec.job, own, table))
}

/** What people are to know of columns that are loaded no more. */
export const goneNotes = ({ gone = [], from }: PlannedLoad): string[] =>
  gone.map(
    name =>
      `${from} has no column ${name} any more: the table keeps it with its values, and rows to come have none in it`,
  )
