import {
  DAY,
  FIRST_NIGHT_SINCE,
  FIRST_WATERMARK,
  iso,
  type Micros,
  NIGHT_ONE,
  NIGHT_TWO,
  SECOND,
} from './clock.ts'
import { homeOf, memberId } from './member.ts'
import { Dice } from './random.ts'

/** One entry of the payment feed, as the API sends it. */
export interface Payment {
  payment_id: string
  member_id: number
  /** Decimal text with two digits after the point (none where the currency has no cents). */
  amount: string
  /** ISO 4217. */
  currency: string
  method: 'card' | 'direct_debit' | 'transfer' | 'wallet'
  status: 'settled' | 'refunded' | 'failed' | 'pending'
  /** ISO 8601 in the member's offset, to the microsecond; null where no money moved. */
  paid_at: string | null
  /** ISO 8601 in UTC, to the microsecond; rises along the feed. */
  updated_at: string
}

/** The feed in the order of updated_at. Entries are made when asked for: the feed takes no memory. */
export interface PaymentFeed {
  count: number
  at(position: number): Payment
  /** The moment of an entry's updated_at, without the cost of the entry. */
  time(position: number): Micros
}

const METHODS = ['card', 'card', 'direct_debit', 'transfer', 'wallet'] as const
const STATUSES = [
  'settled',
  'settled',
  'settled',
  'settled',
  'settled',
  'failed',
  'pending',
  'refunded',
] as const
const OFFSETS: Record<string, number> = { US: -300, BR: -180, IN: 330, JP: 540, KR: 540, TR: 180, GB: 0 }

/** How many entries the first night's feed has, and how many more night two's. */
export const feedSize = (members: number, night: 1 | 2): number =>
  night === 1 ? members * 2 : members * 2 + Math.max(20, Math.round(members * 0.02))

/**
 * The payments of `members` members: two entries each on average, about 3 % of them a later word on a payment
 * sent before (same payment_id, later updated_at). Night two's feed is night one's with more at the end.
 */
export function paymentFeed(members: number, seed: number, night: 1 | 2 = 1): PaymentFeed {
  const old = feedSize(members, 1)
  const count = feedSize(members, night)
  const step = Math.floor((FIRST_WATERMARK - FIRST_NIGHT_SINCE) / old)
  const newStep = Math.floor((NIGHT_TWO - NIGHT_ONE - 2 * SECOND) / Math.max(1, feedSize(members, 2) - old))

  const time = (position: number): Micros =>
    position < old
      ? FIRST_NIGHT_SINCE + position * step + jitter(seed, position, step)
      : NIGHT_ONE + SECOND + (position - old) * newStep + jitter(seed, position, newStep)

  return {
    count,
    time,
    at(position) {
      if (!(position >= 0 && position < count)) throw new RangeError(`the feed has no entry ${position}`)
      const original = repeatOf(seed, position)
      const payment = entry(seed, members, original ?? position, time(original ?? position))
      if (original === undefined) return payment
      return {
        ...payment,
        status: payment.status === 'settled' ? 'refunded' : 'settled',
        paid_at: payment.paid_at ?? iso(time(position) - SECOND),
        updated_at: iso(time(position)),
      }
    },
  }
}

/** The position whose payment the entry repeats, or undefined. A repeat never repeats a repeat. */
export function repeatOf(seed: number, position: number): number | undefined {
  const back = repeats(seed, position)
  if (!back || back > position || repeats(seed, position - back)) return undefined
  return position - back
}

function repeats(seed: number, position: number): number {
  const dice = new Dice(seed, 'payment', position)
  dice.bits()
  return dice.chance(0.031) ? 1 + dice.below(500) : 0
}

const jitter = (seed: number, position: number, step: number) =>
  Math.floor(new Dice(seed, 'payment', position).fraction() * step)

function entry(seed: number, members: number, position: number, at: Micros): Payment {
  const dice = new Dice(seed, 'payment', position)
  for (let used = 0; used < 5; used++) dice.bits()
  const index = dice.below(members)
  const home = homeOf(seed, index)
  const cents = 500 + dice.below(dice.chance(0.02) ? 2_000_000 : 20_000)
  const status = dice.pick(STATUSES)
  const whole = home.currency === 'JPY' || home.currency === 'KRW'
  const offset = OFFSETS[home.code] ?? 60
  return {
    payment_id: `pay_${position.toString(36).padStart(9, '0')}`,
    member_id: memberId(seed, index),
    amount: whole ? String(cents) : (cents / 100).toFixed(2),
    currency: home.currency,
    method: dice.pick(METHODS),
    status,
    paid_at: status === 'settled' || status === 'refunded' ? iso(at - dice.below(3 * DAY), offset) : null,
    updated_at: iso(at),
  }
}
