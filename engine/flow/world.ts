import type { Workers } from '../pool/pool.ts'
import type { Clock, Ledger, Source, Target } from '../ports.ts'
import type { Duck } from '../sql/duckdb.ts'
import type { Budget } from './budget.ts'
import type { FlowSpec } from './spec.ts'

/** Where progress goes. Task names: `extract.members`, `model.members_clean`, `load.dim_members`. */
export interface Observer {
  started(task: string, rows?: number): void
  /** `rows` more; fewer where it is negative: they are lost and will be read again. */
  advanced(task: string, rows: number): void
  finished(task: string, note: string): void
  note(text: string): void
}

/** Everything a run touches, handed in. */
export interface World {
  spec: FlowSpec
  run: string
  /** The run's own time: models see it as `getvariable('run_at')`. */
  runAt: Date
  sources: Map<string, Source>
  targets: Map<string, Target>
  /** Staging root: an absolute folder. */
  root: string
  ledger: Ledger
  clock: Clock
  observer: Observer
  signal: AbortSignal
  workers: Workers
  budget: Budget
  duck: Duck
}

/** Folder of the run below the staging root. */
export function runFolder({ spec, run }: { spec: { job: string }; run: string }): string {
  return `${spec.job}/${run}`
}

/**
 * Runs a task once: its committed output is returned as it stands, whoever committed it. `act` may be repeated
 * until its output is committed, so whatever it leaves behind must be replaceable.
 */
export async function once<T>(world: World, task: string, act: () => Promise<T>): Promise<T> {
  world.signal.throwIfAborted()
  const committed = await world.ledger.output<T>(task)
  if (committed !== undefined) {
    world.observer.note(`${task}: already done`)
    return committed
  }
  await world.ledger.begin(task)
  try {
    const output = await act()
    await world.ledger.commit(task, output)
    return output
  } catch (error) {
    await world.ledger.fail(task, error)
    throw error
  }
}
