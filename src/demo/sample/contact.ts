import { DAY, FIRST_NIGHT_SINCE, FIRST_WATERMARK, type Micros, timestamp } from './clock.ts'
import { homeOf, memberId } from './member.ts'
import { phone } from './phone.ts'
import { Dice } from './random.ts'

/** A row of the CRM's table `contacts`, its columns in the table's order. Timestamps are UTC, to the microsecond. */
export interface Contact {
  contact_id: string
  member_id: number
  preferred_email: string | null
  preferred_phone: string | null
  country: string
  time_zone: string
  /** Goes into jsonb. */
  preferences: Record<string, unknown>
  tags: string[]
  last_contacted_at: string | null
  updated_at: string
}

const TAGS = [
  'vip',
  'newsletter',
  'board, former',
  'donor "gold"',
  'émigré',
  'no-call',
  'back\\slash',
  'NULL',
  '',
]

/**
 * The CRM's rows of a member: none for about 10 %, two for about 3 %, else one. A pure function of the numbers;
 * `updated` moves all of them to that moment.
 */
export function contacts(seed: number, index: number, updated?: Micros): Contact[] {
  const dice = new Dice(seed, 'contact', index)
  const luck = dice.fraction()
  const count = luck < 0.1 ? 0 : luck < 0.13 ? 2 : 1
  return Array.from({ length: count }, (_, nth) => contact(seed, index, nth, dice, updated))
}

function contact(seed: number, index: number, nth: number, dice: Dice, updated?: Micros): Contact {
  const home = homeOf(seed, index)
  const changed = FIRST_NIGHT_SINCE + dice.below(FIRST_WATERMARK - FIRST_NIGHT_SINCE)
  const tag = `${index.toString(36)}${nth ? `.${nth}` : ''}`
  return {
    contact_id: uuid(dice, index, nth),
    member_id: memberId(seed, index),
    preferred_email: dice.chance(0.35) ? `crm.${tag}@example.net` : null,
    preferred_phone: dice.chance(0.3) ? phone(dice, home) : null,
    country: home.code,
    time_zone: dice.pick(home.zones),
    preferences: {
      language: home.language,
      channels: dice.chance(0.5) ? ['email'] : ['email', 'sms'],
      newsletter: dice.chance(0.4),
      ...(dice.chance(0.1) && { limits: { per_week: 1 + dice.below(5), quiet: ['22:00', '07:30'] } }),
      ...(dice.chance(0.02) && { note: 'says “hi” – 👋 "often"' }),
    },
    tags: Array.from({ length: Math.max(0, dice.below(5) - 1) }, () => dice.pick(TAGS)),
    last_contacted_at: dice.chance(0.6) ? timestamp(changed - dice.below(90 * DAY)) : null,
    updated_at: timestamp(updated ?? changed),
  }
}

/** A version-4 UUID. The index is part of it, so that two contacts never share one. */
function uuid(dice: Dice, index: number, nth: number): string {
  const hex = (value: number, width: number) => value.toString(16).padStart(width, '0').slice(-width)
  // An odd factor permutes the numbers below 2^32, and hides that they are consecutive.
  const head = hex(Math.imul(index, 0x9e3779b1) >>> 0, 8)
  const tail = hex(dice.bits(), 8) + hex(Math.floor(index / 0x1_0000_0000), 3) + hex(nth, 1)
  return `${head}-${hex(dice.bits(), 4)}-4${hex(dice.bits(), 3)}-${hex(0x8000 | (dice.bits() & 0x3fff), 4)}-${tail}`
}
