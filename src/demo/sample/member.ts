import { type Address, address } from './address.ts'
import {
  DAY,
  day,
  FIRST_NIGHT_SINCE,
  FIRST_WATERMARK,
  MINUTE,
  type Micros,
  SECOND,
  timestamp,
} from './clock.ts'
import { broken, email, padded, shouted } from './email.ts'
import { NAMES } from './names.ts'
import { brokenPhone, phone } from './phone.ts'
import { type Country, countryAt } from './places.ts'
import { Dice } from './random.ts'

export const STATUSES = ['active', 'lapsed', 'suspended', 'cancelled', 'pending'] as const

/** A row of the legacy table `members`, its columns in the table's order. Timestamps are UTC, to the microsecond. */
export interface Member extends Address {
  /** BIGINT UNSIGNED, rising with the index, with gaps. */
  member_id: number
  first_name: string
  last_name: string
  email: string | null
  phone: string | null
  /** ISO 3166-1 alpha-2, in small letters on some dirty rows. */
  country: string | null
  membership_status: (typeof STATUSES)[number]
  membership_type: string
  /** `0000-00-00` on some rows: MySQL keeps it so, Postgres gets NULL. */
  birth_date: string | null
  join_date: string
  end_date: string | null
  /** DECIMAL(10,2). */
  monthly_fee: string
  marketing_opt_in: 0 | 1
  notes: string | null
  created_at: string
  updated_at: string
}

/** What makes a row bad, that is to be rejected; each bad row has exactly one of them. */
export type Fault = 'email' | 'phone' | 'fee' | 'dates'
/** What makes a row dirty, that is to be cleaned. Bad rows are not dirty besides. */
export type Flaw = 'email_case' | 'email_space' | 'name_space' | 'country' | 'birth_date' | 'city'

const FAULTS: [Fault, number][] = [
  ['email', 0.01],
  ['phone', 0.007],
  ['dates', 0.002],
  ['fee', 0.001],
]
const FLAWS: [Flaw, number][] = [
  ['email_case', 0.017],
  ['email_space', 0.01],
  ['name_space', 0.009],
  ['country', 0.005],
  ['birth_date', 0.005],
  ['city', 0.004],
]

const TYPES = ['basic', 'standard', 'standard', 'premium', 'family', 'student', 'corporate'] as const
const FEES: Record<string, number> = {
  basic: 990,
  standard: 1990,
  premium: 3990,
  family: 4950,
  student: 750,
  corporate: 12900,
}
const NOTES = [
  'Prefers e-mail.',
  'Moved; "old" address kept, see file\nsecond line of the note',
  'Rabatt 10 % bis 31.12., Rücksprache nötig',
  'tab\there and a back\\slash',
  "won't renew unless the pool re-opens",
  '電話は午後のみ',
  'VIP 🎾',
  'imported 2019; id,old,"quoted"',
]

/** The index of the member whose updated_at is the watermark of night one. */
export const WATERMARK_INDEX = 0
/** Members changed minutes before night one, inside the usual lag window: night two moves some of them backwards. */
export const isRecent = (index: number): boolean => index % 997 === 3

/** The member's key. A hole of 100,000 follows every 65,536th member; single keys are missing everywhere. */
export function memberId(seed: number, index: number): number {
  const gap = new Dice(seed, 'place', index).below(3)
  return 1000 + index * 3 + gap + Math.floor(index / 65_536) * 100_000
}

/** What is wrong with the member beyond cleaning, or undefined. About 2 % of members. */
export function fault(seed: number, index: number): Fault | undefined {
  if (isRecent(index) || index === WATERMARK_INDEX) return undefined
  return first(FAULTS, new Dice(seed, 'fault', index).fraction())
}

/** What is wrong with the member and can be cleaned, or undefined. About 5 % of members, none of them bad. */
export function flaw(seed: number, index: number): Flaw | undefined {
  if (fault(seed, index)) return undefined
  const dice = new Dice(seed, 'fault', index)
  dice.bits()
  return first(FLAWS, dice.fraction())
}

/** The country the member lives in, whatever the row says of it. */
export function homeOf(seed: number, index: number): Country {
  const dice = new Dice(seed, 'place', index)
  dice.bits()
  return countryAt(dice.fraction())
}

/** The member's row as night one finds it: a pure function of the two numbers. */
export function member(seed: number, index: number): Member {
  const dice = new Dice(seed, 'member', index)
  const home = homeOf(seed, index)
  const names = NAMES[home.code]!
  const firstName = dice.pick(names.first)
  const lastName = dice.pick(names.last)
  const mailbox = email(dice, firstName, lastName, index.toString(36))
  const hasEmail = dice.chance(0.97)
  const hasPhone = dice.chance(0.92)
  const where = address(dice, home)
  const type = dice.pick(TYPES)
  const status = statusOf(dice.fraction())
  const times = timesOf(dice, index)
  const joined = times.created - dice.below(dice.chance(0.6) ? 1200 : 7000) * DAY
  const ends = status === 'lapsed' || status === 'cancelled'
  const end = joined + dice.below(Math.floor((times.updated - joined) / DAY) + 1) * DAY
  const row: Member = {
    member_id: memberId(seed, index),
    first_name: unusual(dice, firstName.written),
    last_name: lastName.written,
    email: hasEmail ? mailbox : null,
    phone: hasPhone ? phone(dice, home) : null,
    ...where,
    country: home.code,
    membership_status: status,
    membership_type: type,
    birth_date: dice.chance(0.04) ? null : day(FIRST_NIGHT_SINCE - (16 * 366 + dice.below(25_000)) * DAY),
    join_date: day(joined),
    end_date: ends ? day(end) : null,
    monthly_fee: ((FEES[type]! * (80 + dice.below(41))) / 10_000).toFixed(2),
    marketing_opt_in: dice.chance(0.4) ? 1 : 0,
    notes: dice.chance(0.15) ? dice.pick(NOTES) : null,
    created_at: timestamp(times.created),
    updated_at: timestamp(times.updated),
  }
  const wrong = fault(seed, index)
  if (wrong) return spoil(row, wrong, dice, mailbox)
  const dirty = flaw(seed, index)
  return dirty ? soil(row, dirty, dice, mailbox, home) : row
}

/** Makes a good row bad, in place. `mailbox` is the address that a broken one is made from. */
export function spoil(row: Member, wrong: Fault, dice: Dice, mailbox: string): Member {
  if (wrong === 'email') row.email = broken(dice, mailbox)
  else if (wrong === 'phone') row.phone = brokenPhone(dice)
  else if (wrong === 'fee') row.monthly_fee = `-${row.monthly_fee}`
  else row.end_date = day(Date.parse(row.join_date) * 1000 - (1 + dice.below(400)) * DAY)
  return row
}

function soil(row: Member, dirty: Flaw, dice: Dice, mailbox: string, home: Country): Member {
  if (dirty === 'email_case') row.email = shouted(dice, mailbox)
  else if (dirty === 'email_space') row.email = padded(dice, mailbox)
  else if (dirty === 'name_space') row.last_name = dice.pick([` ${row.last_name}`, `${row.last_name}  `])
  else if (dirty === 'birth_date') row.birth_date = '0000-00-00'
  else if (dirty === 'city') row.city = `${row.city}  `
  else if (dice.chance(0.5)) row.country = home.code.toLowerCase()
  else {
    row.country = null
    row.phone &&= phone(dice, home, true)
  }
  return row
}

function timesOf(dice: Dice, index: number): { created: Micros; updated: Micros } {
  const last = FIRST_WATERMARK - 60 * MINUTE
  const created = FIRST_NIGHT_SINCE + dice.below(last - FIRST_NIGHT_SINCE - 30 * DAY)
  const updated = created + dice.below(last - created)
  if (index === WATERMARK_INDEX) return { created, updated: FIRST_WATERMARK }
  return { created, updated: isRecent(index) ? FIRST_WATERMARK - 1 - dice.below(60 * SECOND) : updated }
}

function statusOf(fraction: number): Member['membership_status'] {
  const bounds = [0.72, 0.86, 0.89, 0.96, 1]
  return STATUSES[bounds.findIndex(bound => fraction < bound)]!
}

/** Once in a while a name carries an emoji, or its accents as separate code points. */
function unusual(dice: Dice, name: string): string {
  const luck = dice.below(2000)
  if (luck === 0) return `${name} 🌸`
  return luck < 8 ? name.normalize('NFD') : name
}

function first<T>(shares: [T, number][], fraction: number): T | undefined {
  for (const [value, share] of shares) {
    if (fraction < share) return value
    fraction -= share
  }
  return undefined
}
