/**
 * Days, times and moments as text of ISO 8601, and back, for all that DuckDB's types hold: `2026-01-31`, `12:30:00.25`,
 * `2026-01-31T12:30:00`, with `Z` where it is an instant; years beyond 0 to 9999 with a sign and six digits or more.
 */

export const MICROS_PER_DAY = 86_400_000_000

/** DuckDB's own values for these. */
const INFINITY = 'infinity'
const LAST_DAY = 2_147_483_647
const LAST_MICROS = 0x7fffffffffffffffn

export function textOfDay(days: number): string {
  if (Math.abs(days) === LAST_DAY) return days > 0 ? INFINITY : `-${INFINITY}`
  // By eras of 400 years that begin on 1 March: https://howardhinnant.github.io/date_algorithms.html
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const ofEra = shifted - era * 146_097
  const year = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  )
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * ofYear + 2) / 153)
  const day = ofYear - Math.floor((153 * month + 2) / 5) + 1
  const isNext = month >= 10
  return `${yearText(year + era * 400 + (isNext ? 1 : 0))}-${two(isNext ? month - 9 : month + 3)}-${two(day)}`
}

export function textOfTime(micros: bigint): string {
  const all = Number(micros)
  const seconds = Math.floor(all / 1_000_000)
  const fraction = all % 1_000_000
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
  return fraction === 0 ? text : `${text}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`
}

export function textOfMicros(micros: bigint, zoned: boolean): string {
  if (micros === LAST_MICROS) return INFINITY
  if (micros === -LAST_MICROS) return `-${INFINITY}`
  const day = BigInt(MICROS_PER_DAY)
  const ofDay = ((micros % day) + day) % day
  return `${textOfDay(Number((micros - ofDay) / day))}T${textOfTime(ofDay)}${zoned ? 'Z' : ''}`
}

const DAY = /^([+-]\d{6,7}|\d{4})-(\d\d)-(\d\d)$/

/** Days since 1970-01-01; undefined for what is no day. */
export function parseDay(text: string): number | undefined {
  if (text === INFINITY || text === `-${INFINITY}`) return text === INFINITY ? LAST_DAY : -LAST_DAY
  const [, year, month, day] = DAY.exec(text) ?? []
  if (year === undefined || Number(month) > 12) return undefined
  const days = daysOf(Number(year), Number(month), Number(day))
  // A month's 31st that it has not is another month's first.
  return textOfDay(days) === `${yearText(Number(year))}-${month}-${day}` ? days : undefined
}

/** Microseconds since midnight, to 24:00:00; undefined for what is no time. */
export function parseTime(text: string): bigint | undefined {
  const [, hour, minute, second = '0', fraction = ''] =
    /^(\d\d):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6}))?)?$/.exec(text) ?? []
  if (hour === undefined) return undefined
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second)
  const micros = seconds * 1_000_000 + Number(fraction.padEnd(6, '0'))
  return micros <= MICROS_PER_DAY ? BigInt(micros) : undefined
}

/** Microseconds since 1970-01-01T00:00; undefined for what is no moment, has a zone where none belongs, or has none where one does. */
export function parseMicros(text: string, zoned: boolean): bigint | undefined {
  if (text === INFINITY || text === `-${INFINITY}`) return text === INFINITY ? LAST_MICROS : -LAST_MICROS
  const [, date, time, zone] = /^(.+?)[T ](\d\d:\d\d[\d:.]*)(Z|[+-]\d\d:?\d\d|[+-]\d\d)?$/.exec(text) ?? []
  if (date === undefined || (zone !== undefined) !== zoned) return undefined
  const [day, ofDay] = [parseDay(date), parseTime(time!)]
  if (day === undefined || ofDay === undefined || Math.abs(day) === LAST_DAY) return undefined
  const micros = BigInt(day) * BigInt(MICROS_PER_DAY) + ofDay - offsetOf(zone)
  return micros > -LAST_MICROS && micros < LAST_MICROS ? micros : undefined
}

function offsetOf(zone: string | undefined): bigint {
  if (zone === undefined || zone === 'Z') return 0n
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(':', '') || '0')
  return BigInt(zone.startsWith('-') ? -minutes : minutes) * 60_000_000n
}

function daysOf(year: number, month: number, day: number): number {
  const from = month <= 2 ? year - 1 : year
  const era = Math.floor(from / 400)
  const ofEra = from - era * 400
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468
}

const two = (value: number) => String(value).padStart(2, '0')

function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0')
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`
}
