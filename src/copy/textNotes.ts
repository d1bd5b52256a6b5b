import type { DropOptions } from '../drops/options.ts'
import { asFlags } from './set.ts'

const COMMA = /^-?\d+(,\d+)?$/
const DAY = /^\d\d?\.\d\d?\.\d{4}$/

/** What of CSV becomes text, though a key may say what it is: `1,5` may be a number, or two. */
export function textNotes(
  names: string[],
  rows: string[][],
  { decimal, date_format, schema }: DropOptions,
): string[] {
  if (schema) return []
  const columnsOf = (pattern: RegExp, sign: string) =>
    names.filter((_, index) => {
      const values = rows.map(row => row[index] ?? '').filter(value => value !== '')
      return values.every(value => pattern.test(value)) && values.some(value => value.includes(sign))
    })
  const commas = decimal === ',' ? [] : columnsOf(COMMA, ',')
  const days = date_format === undefined ? columnsOf(DAY, '.') : []
  const isText = (columns: string[]) => `${columns.join(', ')} ${columns.length === 1 ? 'is' : 'are'} text`
  const notes = [
    ...(commas.length > 0 ? [`${isText(commas)}; if they are numbers: ${asFlags('decimal=,')}`] : []),
    ...(days.length > 0 ? [`${isText(days)}; if they are days: ${asFlags('date_format=%d.%m.%Y')}`] : []),
  ]
  // A column keeps the type that it was first read with.
  const when = 'Set at the first load: what a copy has loaded as text stays text, but in another DST.'
  return notes.length > 0 ? [...notes, when] : []
}
