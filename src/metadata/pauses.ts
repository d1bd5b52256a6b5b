import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Queries } from './database.ts'

export type PauseKind = 'job' | 'pool'

/** What starts no runs until somebody says so. */
export interface Pause {
  kind: PauseKind
  name: string
  paused_by: string
  since: string
}

/** Names of what is paused of a kind: a job and a pool may be called the same. */
export const pausedOf = (pauses: Pause[], kind: PauseKind): Set<string> =>
  new Set(pauses.filter(each => each.kind === kind).map(({ name }) => name))

export class Pauses {
  private readonly queries: Queries
  private readonly clock: Clock

  constructor(queries: Queries, clock: Clock) {
    this.queries = queries
    this.clock = clock
  }

  /** False where it is paused already. */
  async pause(kind: PauseKind, name: string, by: string): Promise<boolean> {
    const changed = await this.queries.run(
      `INSERT INTO pauses (kind, name, paused_by, since) VALUES (:kind, :name, :by, :now)
       ON CONFLICT (kind, name) DO NOTHING`,
      { kind, name, by, now: this.clock.now().toISOString() },
    )
    return changed === 1
  }

  /** False where it was not paused. */
  async unpause(kind: PauseKind, name: string): Promise<boolean> {
    return (
      (await this.queries.run('DELETE FROM pauses WHERE kind = :kind AND name = :name', { kind, name })) === 1
    )
  }

  list(): Promise<Pause[]> {
    return this.queries.all('SELECT kind, name, paused_by, since FROM pauses ORDER BY kind, name')
  }
}
