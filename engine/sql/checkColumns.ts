import { didYouMean } from '../nearest.ts'
import { isNumeric } from '../types/duckType.ts'
import { SqlInvalid } from './faults.ts'
import type { Check } from './model.ts'

/** A column of a query's result; its type in DuckDB's notation. */
export interface Described {
  name: string
  type: string
}

const TEXT = /^(VARCHAR|ENUM\(.*|"NULL")$/

/**
 * Which columns of a row check lead to its rows, and whether it says how bad they are. Fails with MODEL_INVALID where it
 * does not return columns of its table and `reason`.
 */
export function rowCheckColumns(
  { file, model }: Check,
  returned: Described[],
  columns: string[],
): { match: string[]; severity: boolean } {
  const names = returned.map(({ name }) => name)
  const fail = (message: string): never => {
    throw new SqlInvalid([
      { file, message, hint: `It returns ${names.join(', ')}; ${model} has ${columns.join(', ')}.` },
    ])
  }
  const known = new Set(columns.map(name => name.toLowerCase()))
  const words = ['reason', 'severity']
  for (const word of words) {
    const wrong = returned.find(({ name }) => name.toLowerCase() === word)
    if (wrong && !TEXT.test(wrong.type)) fail(`${word} is ${wrong.type}; a row check returns it as text`)
  }
  const match = names.filter(name => !words.includes(name.toLowerCase()))
  const stray = match.find(name => !known.has(name.toLowerCase()))
  if (stray !== undefined)
    fail(
      `returns ${stray}, which is no column of ${model}; a row check returns columns of ${model}, reason and severity${didYouMean(stray, [...columns, ...words])}`,
    )
  if (!names.some(name => name.toLowerCase() === 'reason'))
    fail(`returns ${names.join(', ')}; a row check returns columns of ${model} and reason`)
  if (match.length === 0)
    fail(
      `returns ${names.join(', ')}; a row check returns columns of ${model}, which say which rows are meant`,
    )
  const twice = names.find(
    (name, at) => names.findIndex(other => other.toLowerCase() === name.toLowerCase()) < at,
  )
  if (twice !== undefined)
    fail(
      `returns ${twice} twice${words.includes(twice.toLowerCase()) && known.has(twice.toLowerCase()) ? `: the column of ${model}, and what the check says` : ''}`,
    )
  return { match, severity: names.some(name => name.toLowerCase() === 'severity') }
}

/** Whether a set check also returns `value`. Fails with MODEL_INVALID where it does not return `level` and `message`. */
export function setCheckColumns({ file }: Check, returned: Described[]): boolean {
  const names = returned.map(({ name }) => name.toLowerCase())
  const wrong = returned.find(({ name, type }) => name.toLowerCase() === 'level' && !TEXT.test(type))
  if (wrong)
    throw new SqlInvalid([{ file, message: `level is ${wrong.type}; a set check returns it as text` }])
  const value = returned.find(({ name }) => name.toLowerCase() === 'value')
  if (value && !isNumeric(value.type))
    throw new SqlInvalid([
      {
        file,
        message: `value is ${value.type}; a set check returns it as a number, which is kept and shown`,
      },
    ])
  const missing = ['level', 'message'].some(name => !names.includes(name))
  if (missing)
    throw new SqlInvalid([
      {
        file,
        message: `returns ${returned.map(({ name }) => name).join(', ')}; a set check returns level and message`,
      },
    ])
  return value !== undefined
}
