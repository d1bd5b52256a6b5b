import { randomBytes } from 'node:crypto'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Database, Queries } from './database.ts'
import { fenced } from './leases.ts'

/** A state that a run can go back to. */
export interface Checkpoint {
  id: string
  job: string
  run: string
  /** The task that made it; null where the run begins or goes on: what that one holds is not repeated in later ones. */
  task: string | null
  /** `incremental`: what one chunk added. */
  kind: 'full' | 'incremental'
  /** JSON. */
  state: unknown
  created_at: string
}

type NewCheckpoint = Omit<Checkpoint, 'id' | 'created_at'>
type Stored = Omit<Checkpoint, 'state'> & { state: string }

const SELECT = 'SELECT id, job, run, task, kind, state, created_at FROM checkpoints'

/**
 * Keeps a checkpoint and gives its id; ids sort by time within a run. `keep`: removes all of the run but its latest so
 * many, and those of no task. Fails with FENCED.
 */
export async function keepCheckpoint(
  queries: Queries,
  now: Date,
  { job, run, task, kind, state }: NewCheckpoint,
  fence: number,
  keep?: number,
): Promise<string> {
  const created_at = now.toISOString()
  const id = `${created_at.replace(/\D/g, '')}-${randomBytes(4).toString('hex')}`
  const kept = await queries.run(
    `INSERT INTO checkpoints (id, job, run, task, kind, state, created_at)
     SELECT CAST(:id AS TEXT), job, run, CAST(:task AS TEXT), CAST(:kind AS TEXT), CAST(:state AS TEXT),
       CAST(:created_at AS TEXT)
     FROM runs WHERE job = :job AND run = :run AND fence = :fence`,
    { id, job, run, task, kind, state: JSON.stringify(state), created_at, fence },
  )
  if (kept === 0) throw fenced(`run ${run}`)
  if (keep !== undefined)
    await queries.run(
      `DELETE FROM checkpoints WHERE run = :run AND task IS NOT NULL AND id NOT IN
         (SELECT id FROM checkpoints WHERE run = :run AND task IS NOT NULL
          ORDER BY created_at DESC, id DESC LIMIT :keep)`,
      { run, keep },
    )
  return id
}

export class Checkpoints {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  /** See {@link keepCheckpoint}. */
  create(checkpoint: NewCheckpoint, fence: number, keep?: number): Promise<string> {
    return this.database.transaction(queries =>
      keepCheckpoint(queries, this.clock.now(), checkpoint, fence, keep),
    )
  }

  async find(id: string): Promise<Checkpoint | undefined> {
    const [found] = await this.database.all<Stored>(`${SELECT} WHERE id = :id`, { id })
    return found && parsed(found)
  }

  /** The run's latest of one kind; `ofRun`: of those without a task. */
  async latest(run: string, kind: Checkpoint['kind'], ofRun = false): Promise<Checkpoint | undefined> {
    const [found] = await this.database.all<Stored>(
      `${SELECT} WHERE run = :run AND kind = :kind ${ofRun ? 'AND task IS NULL' : ''}
       ORDER BY created_at DESC, id DESC LIMIT 1`,
      { run, kind },
    )
    return found && parsed(found)
  }

  /** Newest first; of one job where it is named. */
  async list(limit: number, job?: string): Promise<Checkpoint[]> {
    const found = await this.database.all<Stored>(
      `${SELECT} ${job ? 'WHERE job = :job' : ''} ORDER BY created_at DESC, id DESC LIMIT :limit`,
      { limit, ...(job && { job }) },
    )
    return found.map(parsed)
  }

  /** Removes those of a run that has nothing to go back to; gives how many went. */
  clear(run: string): Promise<number> {
    return this.database.run('DELETE FROM checkpoints WHERE run = :run', { run })
  }
}

const parsed = (stored: Stored): Checkpoint => ({ ...stored, state: JSON.parse(stored.state) })
