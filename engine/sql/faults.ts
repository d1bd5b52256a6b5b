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
  readonly warnings: Fault[]

  constructor(faults: Fault[], warnings: Fault[] = []) {
    const [first] = faults
    const alone = faults.length === 1
    const lines = [
      ...faults.map(fault => faultText(fault, alone && warnings.length === 0)),
      ...warnings.map(warning => `warning: ${faultText(warning)}`),
    ]
    super('MODEL_INVALID', lines.join('\n'), {
      hint: alone && warnings.length === 0 ? first!.hint : undefined,
    })
    this.faults = faults
    this.warnings = warnings
  }
}

/** Fails with MODEL_INVALID and every fault, where there is one, and what else is to be said of the same files. */
export function refuse(faults: Fault[], warnings: Fault[] = []): void {
  const once = (all: Fault[]) =>
    [...new Map(all.map(each => [`${each.file}:${each.place?.line}: ${each.message}`, each])).values()].sort(
      byPlace,
    )
  if (faults.length > 0) throw new SqlInvalid(once(faults), once(warnings))
}

const byPlace = (a: Fault, b: Fault) =>
  a.file < b.file
    ? -1
    : a.file > b.file
      ? 1
      : (a.place?.line ?? Infinity) - (b.place?.line ?? Infinity) ||
        (a.place?.column ?? 0) - (b.place?.column ?? 0)

/** The lines that show a place; none of one that shows nothing. */
export const excerptOf = ({ excerpt }: Place): string[] =>
  excerpt ? excerpt.split('\n').map(line => `    ${line}`) : []

/** `file:line: message`, the line with a caret below it, and the hint where it is not `apart`. */
export function faultText({ file, place, message, hint }: Fault, apart = false): string {
  const lines = [`${file}${place ? `:${place.line}` : ''}: ${message}`]
  if (place) lines.push(...excerptOf(place))
  if (hint && !apart) lines.push(`    hint: ${hint}`)
  return lines.join('\n')
}
