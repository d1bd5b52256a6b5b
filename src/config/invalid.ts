import { EngineError } from '../../engine/errors.ts'
import { excerptOf, type Fault } from '../../engine/sql/faults.ts'

/** What is wrong with a job's settings or the names of its files. */
export class ConfigInvalid extends EngineError {
  readonly faults: Fault[]

  constructor(faults: Fault[]) {
    const all = new Map(faults.map(fault => [lineOf(fault), fault.hint]))
    const [hint] = all.values()
    const lines = [...all].map(([line, hint]) => (hint && all.size > 1 ? `${line}\n    hint: ${hint}` : line))
    super('CONFIG_INVALID', lines.join('\n'), { ...(all.size === 1 && { hint }) })
    this.faults = faults
  }
}

const lineOf = ({ file, place, message }: Fault) =>
  place
    ? [`${file}:${place.line}:${place.column}: ${message}`, ...excerptOf(place)].join('\n')
    : `${file}: ${message}`
