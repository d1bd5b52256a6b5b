import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { ownColumns } from './dialect.ts'

/** What keeps a table from taking a load's rows: all of it is told at once, with what to type. */
export class Obstacles {
  private readonly where: string
  private readonly found: { message: string; hint: string }[] = []

  /** `where` names the table. */
  constructor(where: string) {
    this.where = where
  }

  /** `message` goes on where the table's name ends: `.name: the server computes it`. */
  add(message: string, hint: string): void {
    this.found.push({ message: `${this.where}${message}`, hint })
  }

  /** Fails with TARGET_INCOMPATIBLE where there is one. */
  check(): void {
    if (this.found.length === 0) return
    throw new EngineError('TARGET_INCOMPATIBLE', this.found.map(({ message }) => message).join('; '), {
      hint: this.found.map(({ hint }) => hint).join(' '),
    })
  }
}

/** Whether a load widens a column of its table by itself. */
export const widensColumn = (load: PlannedLoad, name: string): boolean =>
  load.schema === 'apply-safe' && load.widened?.includes(name) === true

/** Whether a load lets a column of its table be NULL that could not be: where it comes from that has changed. */
export const relaxesColumn = (load: PlannedLoad, { name, nullable }: Column): boolean =>
  load.schema === 'apply-safe' &&
  nullable &&
  !load.key.includes(name) &&
  load.was?.find(column => column.name === name)?.nullable === false

/** The type that a column came from at the last load, where that has changed and the load may alter its table. */
export const formerType = (load: PlannedLoad, { name }: Column): string | undefined =>
  load.schema === 'apply-safe' ? load.was?.find(column => column.name === name)?.origin?.type : undefined

/** Whether a load adds a column by itself that its table lacks. */
export function addsColumn(load: PlannedLoad, name: string): boolean {
  if (load.schema !== 'apply-safe' || load.key.includes(name)) return false
  // Rows that are there would have no value in a column that must have one.
  return ownColumns(load).find(column => column.name === name)?.nullable ?? true
}
