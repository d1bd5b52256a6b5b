import { EngineError } from '../errors.ts'
import { didYouMean } from '../nearest.ts'
import { SqlError } from './duckdb.ts'
import { type Fault, faultText } from './faults.ts'
import type { SqlFile } from './parse.ts'
import { charactersIn, placeOf, stripped } from './text.ts'

/** What is wrong with a file, by the failure of a statement that its text is part of. */
export function faultOf({ file, sql, whole = { sql, start: 0 } }: SqlFile, error: SqlError): Fault {
  const at = characterOf(sql, error)
  return { file, ...(at !== undefined && { place: placeOf(whole.sql, whole.start + at) }), ...wording(error) }
}

/** Where in a file's text a statement failed that holds it; undefined where it failed elsewhere, or nowhere. */
export function characterOf(sql: string, { statement, position }: SqlError): number | undefined {
  const text = stripped(sql)
  const start = statement.indexOf(text)
  if (start < 0 || position === undefined) return undefined
  const at = charactersIn(statement, position) - start
  return at >= 0 && at < text.length ? at : undefined
}

function wording({ text, missing }: SqlError): { message: string; hint?: string } {
  const [first = '', ...more] = text.split('\n').filter(line => line.trim() !== '' && !line.includes('SET '))
  const message = first.replace(/!$/, '').replace(' when casting from source column ', ' in column ')
  if (missing) {
    const names = missing.candidates.map(name => name.replace(/^.*\./, '').replaceAll('"', ''))
    const near = didYouMean(missing.name, names)
    return near || names.length === 0 || missing.kind !== 'column'
      ? { message: message + near }
      : { message, hint: `There are: ${missing.candidates.join(', ')}.` }
  }
  if (more.length === 0) return { message }
  const hint = more
    .map(line => line.trim())
    .slice(0, MAX_HINT_LINES)
    .join('; ')
  return { message, hint: more.length > MAX_HINT_LINES ? `${hint}; …` : hint }
}

const MAX_HINT_LINES = 5

/** Does what a file's text is part of; a failure names the file, and its line where it has one. */
export async function inFile<T>(source: SqlFile, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof SqlError) {
      const fault = faultOf(source, cause)
      throw new EngineError(cause.code, faultText(fault, true), { cause, hint: fault.hint })
    }
    if (!(cause instanceof EngineError) || cause.message.startsWith(source.file)) throw cause
    throw new EngineError(cause.code, `${source.file}: ${cause.message}`, { cause, hint: cause.hint })
  }
}
