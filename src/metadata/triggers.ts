import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Queries } from './database.ts'

/** Events that start a job, each once. */
export class Triggers {
  private readonly queries: Queries
  private readonly clock: Clock

  constructor(queries: Queries, clock: Clock) {
    this.queries = queries
    this.clock = clock
  }

  /** Keeps an event; one that is known already changes nothing. */
  async add(id: string, job: string, kind: 'file' | 'log', payload: unknown): Promise<void> {
    await this.queries.run(
      `INSERT INTO triggers (id, job, kind, payload, created_at) VALUES (:id, :job, :kind, :payload, :now)
       ON CONFLICT (id) DO NOTHING`,
      { id, job, kind, payload: JSON.stringify(payload), now: this.clock.now().toISOString() },
    )
  }

  /** Whether an event of the job has not started a run yet. */
  async isWaiting(job: string): Promise<boolean> {
    const found = await this.queries.all(
      'SELECT 1 AS one FROM triggers WHERE job = :job AND consumed_by IS NULL LIMIT 1',
      { job },
    )
    return found.length > 0
  }
}
