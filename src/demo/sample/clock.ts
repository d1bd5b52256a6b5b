/** Microseconds since 1970-01-01 UTC: whole numbers, exact in a double until the year 2255. */
export type Micros = number

export const SECOND = 1_000_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The sample's legacy system went live here: no created_at is older. */
export const FIRST_NIGHT_SINCE: Micros = Date.UTC(2024, 0, 1) * 1000
/** The newest updated_at of members that night one can see. Everything of night one is at or before it. */
export const FIRST_WATERMARK: Micros = Date.UTC(2025, 10, 30, 23, 58, 30) * 1000 + 123_456
/** Night one runs here; whatever night two adds is stamped after it, and before NIGHT_TWO. */
export const NIGHT_ONE: Micros = Date.UTC(2025, 11, 1) * 1000
export const NIGHT_TWO: Micros = NIGHT_ONE + DAY

const pad = (n: number, width: number) => String(n).padStart(width, '0')
const TWO = Array.from({ length: 60 }, (_, n) => pad(n, 2))
// A century of days is a few thousand short strings; making them over and over is half the cost of a row.
const days = new Map<number, string>()

/** `2025-11-30` for any moment of that day, UTC. */
export function day(at: Micros): string {
  const number = Math.floor(at / DAY)
  let text = days.get(number)
  if (text === undefined) {
    text = new Date(number * 86_400_000).toISOString().slice(0, 10)
    days.set(number, text)
  }
  return text
}

/** `2025-11-30 23:58:30.123456`, UTC, as both databases read it. */
export function timestamp(at: Micros): string {
  const since = at - Math.floor(at / DAY) * DAY
  const seconds = Math.floor(since / SECOND)
  const minutes = Math.floor(seconds / 60)
  const clock = `${TWO[Math.floor(minutes / 60)]}:${TWO[minutes % 60]}:${TWO[seconds % 60]}`
  return `${day(at)} ${clock}.${pad(since % SECOND, 6)}`
}

/** `2025-12-01T00:58:30.123456+01:00`: ISO 8601 with the offset in minutes. */
export function iso(at: Micros, offset = 0): string {
  const local = timestamp(at + offset * MINUTE).replace(' ', 'T')
  const size = Math.abs(offset)
  return `${local}${offset < 0 ? '-' : '+'}${pad(Math.floor(size / 60), 2)}:${pad(size % 60, 2)}`
}

const ISO = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:?\d\d)$/

/** Reads ISO 8601 with an offset, to the microsecond. Undefined where the text is not that. */
export function parseIso(text: string): Micros | undefined {
  const match = ISO.exec(text)
  if (!match) return undefined
  const [, date, time, fraction = '', zone] = match
  const offset = zone === 'Z' || zone?.includes(':') ? zone : `${zone?.slice(0, 3)}:${zone?.slice(3)}`
  const seconds = Date.parse(`${date}T${time}${offset}`)
  return Number.isNaN(seconds) ? undefined : seconds * 1000 + Number(fraction.padEnd(6, '0'))
}
