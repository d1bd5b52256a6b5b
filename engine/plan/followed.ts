import { HISTORY } from '../contracts/changes.ts'
import { EngineError } from '../errors.ts'
import { columnNamed } from '../types/logical.ts'
import type { FollowedRead, LogCursor, PlannedRead, ReadFacts } from './plan.ts'
import { storedAnew } from './stored.ts'

export const IMAGE_GONE = 'the image of the last load is no longer staged, or is damaged'

/** A read of a table that is followed: on top of what is known of it, or whole; a history goes on wherever its log and its earlier nights let it. */
export function followed(
  read: PlannedRead,
  { spec, last, known, log, renew, now, reconcile }: ReadFacts,
  changed: string[],
  unlike: string[],
): PlannedRead {
  if (read.key.length === 0)
    throw new EngineError('CONFIG_INVALID', `${read.where}: mode: changes needs a key`, {
      hint: 'Give the table a primary key; or name the columns that identify a row (key: member_id), which its log then must tell of each change.',
    })
  const cursor = last?.image?.cursor as LogCursor | undefined
  const { history } = spec.changes!
  const goesOn = history && columnNamed(known?.columns ?? [], HISTORY.number) !== undefined
  const isGone = last !== undefined && !last.image
  if (goesOn && !renew && (isGone || unlike.length > 0))
    throw brokenHistory(read, isGone ? [IMAGE_GONE] : unlike)
  const unknown =
    renew ??
    (!last
      ? 'no earlier load'
      : isGone
        ? IMAGE_GONE
        : !cursor
          ? 'the last load did not read its log'
          : undefined)
  const differs = unknown ? [] : [...changed, ...storedAnew(cursor!.stored, log!.stored)]
  const reason = unknown ?? (goesOn ? '' : differs.join('; '))
  const changes: FollowedRead = {
    ...log!,
    history,
    // Greater than that of any change before, known or not: in a thousandth of a millisecond no table changes.
    number: reason ? now.getTime() * 1000 : cursor!.number,
  }
  if (reason) {
    const left = goesOn ? '; what changed since the last load is not in its history' : ''
    return {
      ...read,
      changes,
      notes: [...read.notes, `reads the whole table, and its log from then on: ${reason}${left}`],
    }
  }
  const { point, image } = last!
  const { reconcile: every } = spec.changes!
  const isDue = every !== undefined && now.getTime() - Date.parse(cursor!.whole ?? '1970-01-01') >= every
  if (reconcile || isDue || differs.length > 0) {
    changes.reconcile = true
    const why = reconcile
      ? 'as was asked for'
      : differs.length > 0
        ? `since ${differs.join('; ')}`
        : `by its reconcile, last ${cursor!.whole ?? 'at a time that is not known'}`
    read.notes.push(`reads the whole table and its log, and compares them, ${why}`)
  }
  return { ...read, changes, cursor, base: { value: point.value, run: point.run, image: image! } }
}

const brokenHistory = ({ where }: PlannedRead, why: string[]) =>
  new EngineError('SCHEMA_DRIFT', `${where}: its history cannot go on: ${why.join('; ')}`, {
    hint: 'To have it begin anew, without what changed since the last load: nightfreight run JOB --full-refresh.',
  })
