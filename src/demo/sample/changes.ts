import { FIRST_WATERMARK, MINUTE, type Micros, NIGHT_ONE, NIGHT_TWO, SECOND, timestamp } from './clock.ts'
import { type Contact, contacts } from './contact.ts'
import { fault, isRecent, type Member, member, spoil, WATERMARK_INDEX } from './member.ts'
import { Dice } from './random.ts'

/**
 * What happens to members between the nights:
 * `insert`: a new member; `insert_bad`: a new one that is to be rejected;
 * `update`: a known good row changes and stays good; `break`: a good row turns bad;
 * `repair`: a bad row turns good;
 * `late`: a change stamped inside the lag window before night one's watermark, committed after night one read;
 * `older`: a row that changed shortly before night one comes back with older values and an older stamp, still
 * inside the lag window: it is read again, and must not overwrite.
 */
export type MemberChange = 'insert' | 'insert_bad' | 'update' | 'break' | 'repair' | 'late' | 'older'

export interface ChangedMember {
  change: MemberChange
  index: number
  row: Member
}

export interface ChangedContact {
  change: 'insert' | 'update'
  row: Contact
}

/** Both are inside a lag of 5 minutes. */
const LATE_BY = 2 * MINUTE
const OLDER_BY = 3 * MINUTE

/** The smallest sample that has a row for every kind of change. */
export const SMALLEST = 1000

/** How many existing members each kind touches, and how many members are new, for a sample of n. */
export function plannedChanges(n: number) {
  if (!(n >= SMALLEST)) throw new RangeError(`night two needs at least ${SMALLEST} members, not ${n}`)
  const share = (part: number) => Math.max(1, Math.round(n * part))
  const recent = Math.floor((n - 4) / 997) + 1
  return {
    arrivals: share(0.004),
    update: share(0.01),
    break: share(0.0003),
    repair: share(0.0003),
    late: share(0.0005),
    older: Math.min(recent, share(0.0005)),
  }
}

/** Night two's members, each index once: a pure function of the two numbers. Throws a RangeError for n < 1000. */
export function* changedMembers(n: number, seed: number): Generator<ChangedMember> {
  const plan = plannedChanges(n)
  for (let index = n; index < n + plan.arrivals; index++) yield arrival(seed, index, index === n)
  for (let nth = 0; nth < plan.older; nth++) yield older(seed, 3 + nth * 997)
  const kinds = (['update', 'break', 'late'] as const).flatMap(kind =>
    Array.from({ length: plan[kind] }, () => kind),
  )
  for (const [nth, kind] of kinds.entries()) {
    const index = candidate(seed, n, nth, kinds.length, false)
    if (index !== undefined) yield change(seed, index, kind)
  }
  // Only repairs touch bad rows, so their stretches may overlap those of the others.
  for (let nth = 0; nth < plan.repair; nth++) {
    const index = candidate(seed, n, nth, plan.repair, true)
    if (index !== undefined) yield change(seed, index, 'repair')
  }
}

/** Night two's contacts: those of the new members, and every 200th member's moved on. */
export function* changedContacts(n: number, seed: number): Generator<ChangedContact> {
  const { arrivals } = plannedChanges(n)
  for (let index = n; index < n + arrivals; index++)
    for (const row of contacts(seed, index, during(seed, index))) yield { change: 'insert', row }
  for (let index = 100; index < n; index += 200)
    for (const row of contacts(seed, index, during(seed, index)))
      yield { change: 'update', row: { ...row, preferred_email: `new.${index.toString(36)}@example.org` } }
}

/** The first row that fits in the nth of `of` equal stretches of the table, so that indexes differ and spread. */
function candidate(seed: number, n: number, nth: number, of: number, bad: boolean): number | undefined {
  for (let index = Math.floor((nth * n) / of); index < Math.floor(((nth + 1) * n) / of); index++) {
    if (index === WATERMARK_INDEX || isRecent(index)) continue
    if ((fault(seed, index) !== undefined) === bad) return index
  }
  return undefined
}

function arrival(seed: number, index: number, bad: boolean): ChangedMember {
  const at = during(seed, index)
  const row = member(seed, index)
  const stamped = { ...row, created_at: timestamp(at), updated_at: timestamp(at) }
  if (fault(seed, index)) return { change: 'insert_bad', index, row: stamped }
  if (!bad) return { change: 'insert', index, row: stamped }
  const dice = new Dice(seed, 'change', index)
  return { change: 'insert_bad', index, row: spoil(stamped, 'email', dice, 'no.such.host@example.com') }
}

function older(seed: number, index: number): ChangedMember {
  const dice = new Dice(seed, 'change', index)
  const at = FIRST_WATERMARK - OLDER_BY - dice.below(30 * SECOND)
  const row = { ...member(seed, index), notes: 'restored from an older copy', updated_at: timestamp(at) }
  return { change: 'older', index, row }
}

function change(seed: number, index: number, kind: 'update' | 'break' | 'repair' | 'late'): ChangedMember {
  const dice = new Dice(seed, 'change', index)
  const before = member(seed, index)
  const at = kind === 'late' ? FIRST_WATERMARK - LATE_BY - dice.below(MINUTE) : during(seed, index)
  const row: Member = {
    ...before,
    address_line1: `${1 + dice.below(99)} Harbour Street`,
    marketing_opt_in: before.marketing_opt_in ? 0 : 1,
    updated_at: timestamp(at),
  }
  if (kind === 'break') spoil(row, dice.chance(0.5) ? 'email' : 'fee', dice, 'typing.error@example.com')
  if (kind === 'repair') repair(row, seed, index)
  return { change: kind, index, row }
}

function repair(row: Member, seed: number, index: number): void {
  const wrong = fault(seed, index)
  if (wrong === 'email') row.email = `repaired.${index.toString(36)}@example.com`
  else if (wrong === 'phone') row.phone = null
  else if (wrong === 'fee') row.monthly_fee = row.monthly_fee.replace('-', '')
  else row.end_date = null
}

/** A moment between the nights, the index's own. */
function during(seed: number, index: number): Micros {
  const dice = new Dice(seed, 'change', index)
  dice.bits()
  return NIGHT_ONE + MINUTE + dice.below(NIGHT_TWO - NIGHT_ONE - 2 * MINUTE)
}
