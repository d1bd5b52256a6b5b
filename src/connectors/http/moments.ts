import { parseScaled } from './numbers.ts'

const DAY_MS = 86_400_000
/** The year 9999 ends before it. */
const MAX_EPOCH = 253_402_300_800_000_000n
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const TIME = /^(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6})0*)?)?$/
const TIMESTAMP = /^(\d{4}-\d{2}-\d{2})[Tt ]([\d:.,]+)([Zz]|[+-]\d{2}(?::?\d{2})?)?$/
const OFFSET = /^([+-])(\d{2}):?(\d{2})?$/

/** Days since 1970-01-01 of `2026-01-31`; undefined for a day that no calendar has. */
export function parseDate(text: string): number | undefined {
  const match = DATE.exec(text)
  if (!match) return undefined
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // A day out of its month would roll over to another.
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() / DAY_MS : undefined
}

/** Microseconds since midnight of `23:55:00.123456`; undefined where it is no time or holds finer digits. */
export function parseTime(text: string): bigint | undefined {
  const micros = timeOf(text)
  return micros === undefined ? undefined : BigInt(micros)
}

function timeOf(text: string): number | undefined {
  const match = TIME.exec(text)
  if (!match) return undefined
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)]
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined
  return ((hours * 60 + minutes) * 60 + seconds) * 1e6 + Number((match[4] ?? '').padEnd(6, '0'))
}

/**
 * Microseconds since 1970-01-01T00:00 of an ISO 8601 text. `zoned` texts must carry an offset (they are instants),
 * others must not (they are wall-clock readings): to guess either would shift the value.
 */
export function parseTimestamp(text: string, zoned: boolean): bigint | undefined {
  const match = TIMESTAMP.exec(text)
  if (!match || (match[3] !== undefined) !== zoned) return undefined
  const days = parseDate(match[1]!)
  const micros = timeOf(match[2]!)
  const offset = offsetOf(match[3])
  if (days === undefined || micros === undefined || offset === undefined) return undefined
  return BigInt(days * 86_400 - offset * 60) * 1_000_000n + BigInt(micros)
}

/** Minutes east of UTC. */
function offsetOf(text = 'Z'): number | undefined {
  if (text === 'Z' || text === 'z') return 0
  const [, sign, hours, minutes = '0'] = OFFSET.exec(text)!
  if (Number(hours) > 23 || Number(minutes) > 59) return undefined
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}

/** Microseconds since 1970 of a number of seconds or milliseconds; undefined where it is none, or holds finer digits. */
export function parseEpoch(digits: string, format: 'epoch' | 'epoch_ms'): bigint | undefined {
  const micros = parseScaled(digits, format === 'epoch' ? 6 : 3)
  return micros !== undefined && micros > -MAX_EPOCH && micros < MAX_EPOCH ? micros : undefined
}
