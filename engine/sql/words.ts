import { didYouMean } from '../nearest.ts'
import type { Fault } from './faults.ts'
import type { Check } from './model.ts'
import type { Mention, Query } from './parse.ts'

/** The severity that leaves a row out of its table. */
export const REJECT = 'reject'

/** Words that a check's `level` or `severity` may be. */
export const WORDS = { level: ['pass', 'warn', 'stop'], severity: [REJECT, 'warn'] } as const

export type Word<Column extends keyof typeof WORDS> = (typeof WORDS)[Column][number]

/** Of findings, in SQL: those whose row is left out of its table. */
export const REJECTS = `severity = '${REJECT}'`

/** `severity is 'error'; expected 'reject' or 'warn'`. */
export function wrongWord(column: keyof typeof WORDS, text: string | null): string {
  const words = WORDS[column].map(word => `'${word}'`)
  const expected = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
  const near = text === null ? '' : didYouMean(text, WORDS[column])
  return `${column} is ${text === null ? 'NULL' : `'${text}'`}; expected ${expected}${near}`
}

/** What is wrong with the words that stand in a check's text. */
export function valueFaults(
  check: Check,
  query: Query,
  placed: (mention: Mention) => Partial<Fault>,
): Fault[] {
  const column = check.model === undefined ? 'level' : 'severity'
  const unsaid = check.model === undefined ? [] : (query.values.get('reason') ?? [])
  const words: readonly (string | null)[] = WORDS[column]
  const fault = (name: string, at: number | undefined, message: string): Fault => ({
    file: check.file,
    ...placed({ name, ...(at !== undefined && { at }) }),
    message,
  })
  return [
    ...(query.values.get(column) ?? [])
      .filter(({ text }) => !words.includes(text))
      .map(({ text, at }) => fault(column, at, wrongWord(column, text))),
    ...unsaid
      .filter(({ text }) => text === null)
      .map(({ at }) => fault('reason', at, 'reason is NULL; a row check says of each row what is wrong')),
  ]
}
