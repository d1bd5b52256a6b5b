import type { Duck } from './duckdb.ts'
import { inFile } from './locate.ts'
import type { OrderedMacro } from './model.ts'

/** The macros of a job, each created once the tables that it reads are there: DuckDB looks for them then. */
export class MacroSession {
  private readonly create: (macro: OrderedMacro) => Promise<void>
  private readonly there = new Set<string>()
  private waiting: OrderedMacro[]

  constructor(
    duck: Duck,
    macros: OrderedMacro[],
    create = (macro: OrderedMacro) => inFile(macro, () => duck.run(macro.sql)),
  ) {
    this.create = create
    this.waiting = macros
  }

  /** Creates what these tables make possible. */
  async made(tables: string[]): Promise<void> {
    for (const table of tables) this.there.add(table)
    const ready = this.waiting.filter(({ reads }) => reads.every(table => this.there.has(table)))
    this.waiting = this.waiting.filter(macro => !ready.includes(macro))
    for (const macro of ready) await this.create(macro)
  }
}
