/** What a number is by its cell's format. */
export type NumberKind = 'number' | 'day' | 'moment' | 'time' | 'duration'

const DAY_MICROS = 86_400_000_000
/** Zeros that are written for a power of ten. */
const MOST_ZEROS = 30
/** The last day that Excel knows: 9999-12-31. */
const LAST = 2_958_465

/** The formats that every workbook has (ECMA-376, 18.8.30), those of East Asia too. */
export function kindOfId(id: number): NumberKind {
  if (id === 22) return 'moment'
  if ((id >= 18 && id <= 21) || (id >= 32 && id <= 35) || id === 45 || id === 47 || id === 55 || id === 56)
    return 'time'
  if (id === 46) return 'duration'
  if ((id >= 14 && id <= 17) || (id >= 27 && id <= 36) || (id >= 50 && id <= 58)) return 'day'
  return 'number'
}

/** The kind of a format's code, by its first section: `yyyy-mm-dd hh:mm`, `[h]:mm:ss`, `#,##0.00`. */
export function kindOfCode(code: string): NumberKind {
  const bare = code
    .replace(/"[^"]*"|\\.|_.|\*./g, '')
    .split(';')[0]!
    .replace(/\[(?!(?:h+|m+|s+)\])[^\]]*\]/gi, '')
  if (/\[(?:h+|m+|s+)\]/i.test(bare)) return 'duration'
  if (/general/i.test(bare)) return 'number'
  const time = /[hs]|am\/pm|a\/p/i.test(bare)
  const day = /[dy]/i.test(bare) || (/m/i.test(bare) && !time) || /m{3,}/i.test(bare)
  if (day) return time ? 'moment' : 'day'
  return time ? 'time' : 'number'
}

/**
 * A number as text. Days, moments and times are what the format shows, and nothing less: a day with a fraction is a moment.
 * What Excel has no date for (day 0, 29 February 1900, before 1900) comes out as no calendar has it, so that it is told.
 */
export function numberText(written: string, kind: NumberKind, epoch1904: boolean): string {
  const serial = Number(written)
  if (kind === 'number' || !Number.isFinite(serial)) return shortest(written)
  const micros = microsOf(serial)
  if (kind === 'duration') return `${micros < 0 ? '-' : ''}${clock(Math.abs(micros))}`
  const day = Math.floor(micros / DAY_MICROS)
  const rest = micros - day * DAY_MICROS
  if (kind === 'time' && day === 0) return clock(rest)
  if (day < 0 || day > LAST) return written
  const date = dateText(day, epoch1904)
  return kind === 'day' && rest === 0 ? date : `${date} ${clock(rest)}`
}

// A double of today's date is exact to about a microsecond: what is within two of a millisecond is that.
function microsOf(serial: number): number {
  const micros = Math.round(serial * DAY_MICROS)
  const millis = Math.round(micros / 1000) * 1000
  return Math.abs(micros - millis) <= 2 ? millis : micros
}

/** Lotus took 1900 for a leap year, and Excel has its day 60 from there. */
function dateText(day: number, epoch1904: boolean): string {
  if (!epoch1904 && day === 0) return '1900-01-00'
  if (!epoch1904 && day === 60) return '1900-02-29'
  const start = epoch1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, day < 60 ? 31 : 30)
  return new Date(start + day * 86_400_000).toISOString().slice(0, 10)
}

function clock(micros: number): string {
  const seconds = Math.floor(micros / 1e6)
  const two = (value: number) => String(value).padStart(2, '0')
  const fraction =
    micros % 1e6 === 0
      ? ''
      : `.${String(micros % 1e6)
          .padStart(6, '0')
          .replace(/0+$/, '')}`
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`
}

/** Some writers give doubles 17 digits: 1.1000000000000001 is 1.1. Integers stay to their last digit. */
function shortest(written: string): string {
  const digits = written
    .replace(/[eE].*$/, '')
    .replace(/\D/g, '')
    .replace(/^0+/, '').length
  const fraction = /[.eE]/.test(written)
  return unpowered(fraction && (digits === 16 || digits === 17) ? String(Number(written)) : written)
}

/** A number without its power of ten, where that makes few digits: 6.25E-2 is 0.0625. Others stay as they are. */
function unpowered(written: string): string {
  const [, sign = '', whole = '', fraction = '', power] =
    /^([+-]?)(\d*)(?:\.(\d*))?[eE]([+-]?\d{1,2})$/.exec(written) ?? []
  const shift = Number(power)
  if (power === undefined || Math.abs(shift) > MOST_ZEROS) return written
  const digits = `${'0'.repeat(Math.max(0, -shift))}${whole}${fraction}${'0'.repeat(Math.max(0, shift))}`
  const point = Math.max(0, -shift) + whole.length + shift
  const before = digits.slice(0, point).replace(/^0+(?=\d)/, '') || '0'
  const after = digits.slice(point).replace(/0+$/, '')
  return `${sign === '-' ? '-' : ''}${before}${after === '' ? '' : `.${after}`}`
}
