import { EngineError } from '../../engine/errors.ts'
import type { Fault } from '../../engine/sql/faults.ts'

/** What is wrong with a job's settings or the names of its files. */
export class ConfigInvalid extends EngineError {
  readonly faults: Fault[]

  constructor(faults: Fault[]) {
    const lines = faults.map(({ file, place, message }) =>
      place ? `${file}:${place.line}:${place.column}: ${message}` : `${file}: ${message}`,
    )
    super('CONFIG_INVALID', [...new Set(lines)].join('\n'))
    this.faults = faults
  }
}
