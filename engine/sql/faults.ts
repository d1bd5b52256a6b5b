import { EngineError } from '../errors.ts'
import type { Place } from './text.ts'

/** What is wrong with a file of SQL; or, as a warning, what is not as it looks. */
export interface Fault {
  /** As messages name it: below the job's folder. */
  file: string
  place?: Place
  message: string
  /** What to write instead, one sentence. */
  hint?: string
}

/** All that is wrong with a job's SQL. */
export class SqlInvalid extends EngineError {
  readonly faults: Fault[]

  constructor(faults: Fault[]) {
    const [first] = faults
    const alone = faults.length === 1
    super('MODEL_INVALID', faults.map(fault => faultText(fault, alone)).join('\n'), {
      hint: alone ? first!.hint : undefined,
    })
    this.faults = faults
  }
}

/** Fails with MODEL_INVALID and every fault, where there is one. */
export function refuse(faults: Fault[]): void {
  const all = new Map(faults.map(fault => [`${fault.file}:${fault.place?.line}: ${fault.message}`, fault]))
  if (all.size > 0) throw new SqlInvalid([...all.values()].sort(byPlace))
}

const byPlace = (a: Fault, b: Fault) =>
  a.file < b.file ? -1 : a.file > b.file ? 1 : (a.place?.line ?? Infinity) - (b.place?.line ?? Infinity) || 0

/** `file:line: message`, the line with a caret below it, and the hint where it is not `apart`. */
export function faultText({ file, place, message, hint }: Fault, apart = false): string {
  const lines = [`${file}${place ? `:${place.line}` : ''}: ${message}`]
  if (place?.excerpt) lines.push(...place.excerpt.split('\n').map(line => `    ${line}`))
  if (hint && !apart) lines.push(`    hint: ${hint}`)
  return lines.join('\n')
}
