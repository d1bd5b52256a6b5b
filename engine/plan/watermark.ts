import type { Column, LogicalType } from '../types/logical.ts'

const DAY = 86_400_000_000n

/**
 * The value `lag` before a watermark. `value` is DuckDB's text of it; `lag` is in microseconds for timestamps and
 * dates (a date goes back whole days, rounded up) and in units for integers, down to the
 * least that their type has, and decimals. Text has no lag.
 */
export function before(value: string, type: LogicalType, lag: number): string {
  switch (type.kind) {
    case 'int': {
      const least = type.signed ? -(2n ** BigInt(type.bits - 1)) : 0n
      const earlier = BigInt(value) - BigInt(lag)
      // A server refuses to compare with what its type has not.
      return (earlier < least ? least : earlier).toString()
    }
    case 'decimal':
      return decimalText(
        decimalUnits(value, type.scale) - BigInt(lag) * 10n ** BigInt(type.scale),
        type.scale,
      )
    case 'date': {
      const days = BigInt(Math.ceil(lag / Number(DAY)))
      return dateText(micros(value) / DAY - days)
    }
    case 'timestamp': {
      const moment = micros(value) - BigInt(lag)
      const day = floorDiv(moment, DAY)
      const rest = moment - day * DAY
      const clock = new Date(Number(rest / 1000n)).toISOString().slice(11, 19)
      const fraction = (rest % 1_000_000n).toString().padStart(6, '0')
      const [date, era = ''] = dateText(day).split(/(?= \()/)
      return `${date}${era} ${clock}.${fraction}${type.zoned ? '+00' : ''}`
    }
    case 'text':
      return value
    default:
      throw new RangeError(`a watermark cannot be ${type.kind}`)
  }
}

/** Whether a column can be a watermark: its values have an order that every system can be asked for. */
export function canBeWatermark({ type, notation }: Column): boolean {
  return ['int', 'decimal', 'date', 'timestamp', 'text'].includes(type.kind) && !notation
}

/** Whether values of a type are moments, which may lie in the future. */
export const isMoment = (type: LogicalType) => type.kind === 'date' || type.kind === 'timestamp'

/** Whether a moment is so far ahead of a clock that neither a time zone nor a clock that is wrong explains it. */
export function isFuture(value: string, type: LogicalType, now: Date): boolean {
  return isMoment(type) && micros(value) > BigInt(now.getTime()) * 1000n + DAY
}

/** A moment as DuckDB's text of a type; a wall clock is taken to be UTC's. */
export function momentText(type: LogicalType, moment: Date): string {
  const text = moment.toISOString().slice(0, 23).replace('T', ' ')
  if (type.kind === 'date') return text.slice(0, 10)
  return type.kind === 'timestamp' && type.zoned ? `${text}+00` : text
}

/** Microseconds since 1970 of DuckDB's text of a date or a timestamp: any year, `(BC)` too. */
function micros(value: string): bigint {
  const match =
    /^(\d{4,})-(\d\d)-(\d\d)( \(BC\))?(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00(?::00)?)?)?$/.exec(
      value,
    )
  if (!match) throw new RangeError(`not a moment of DuckDB's: ${value}`)
  const [, year = '', month, day, era, hour = '0', minute = '0', second = '0', fraction = ''] = match
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second)
  const number = era ? 1 - Number(year) : Number(year)
  return (
    daysOf(number, Number(month), Number(day)) * DAY +
    BigInt(seconds) * 1_000_000n +
    BigInt(fraction.padEnd(6, '0'))
  )
}

// The calendar repeats every 400 years, and Date knows those around 2000.
const CYCLE_YEARS = 400
const CYCLE_DAYS = 146_097n

function daysOf(year: number, month: number, day: number): bigint {
  const cycles = Math.floor((year - 2000) / CYCLE_YEARS)
  const near = Date.UTC(year - cycles * CYCLE_YEARS, month - 1, day) / 86_400_000
  return BigInt(near) + BigInt(cycles) * CYCLE_DAYS
}

function dateText(days: bigint): string {
  const cycles = floorDiv(days - daysOf(2000, 1, 1), CYCLE_DAYS)
  const near = new Date(Number(days - cycles * CYCLE_DAYS) * 86_400_000)
  const year = near.getUTCFullYear() + Number(cycles) * CYCLE_YEARS
  const rest = near.toISOString().slice(-20, -14)
  return year > 0
    ? `${String(year).padStart(4, '0')}${rest}`
    : `${String(1 - year).padStart(4, '0')}${rest} (BC)`
}

const floorDiv = (a: bigint, b: bigint) => (a < 0n ? (a - b + 1n) / b : a / b)

const decimalUnits = (value: string, scale: number) => {
  const [whole = '', fraction = ''] = value.split('.')
  return BigInt(whole + fraction.padEnd(scale, '0').slice(0, scale))
}

function decimalText(units: bigint, scale: number): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  return `${units < 0n ? '-' : ''}${whole}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`
}
