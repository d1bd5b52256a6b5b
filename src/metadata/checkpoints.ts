import { randomBytes } from 'node:crypto'
import type { Clock } from '../../engine/ports.ts'
import type { Database } from './database.ts'
import { fenced } from './leases.ts'

/** A state that a run can go back to. */
export interface Checkpoint {
  id: string
  job: string
  run: string
  /** The task that made it; null for the whole run's. */
  task: string | null
  /** `incremental`: what one chunk added. */
  kind: 'full' | 'incremental'
  /** JSON. */
  state: unknown
  created_at: string
}

type Stored = Omit<Checkpoint, 'state'> & { state: string }

const SELECT = 'SELECT id, job, run, task, kind, state, created_at FROM checkpoints'

export class Checkpoints {
  private readonly database: Database
  private readonly clock: Clock

  constructor(database: Database, clock: Clock) {
    this.database = database
    this.clock = clock
  }

  /** Keeps a checkpoint and gives its id; ids sort by time within a run. */
  async create(
    { job, run, task, kind, state }: Omit<Checkpoint, 'id' | 'created_at'>,
    fence: number,
  ): Promise<string> {
    const created_at = this.clock.now().toISOString()
    const id = `${created_at.replace(/\D/g, '')}-${randomBytes(4).toString('hex')}`
    const kept = await this.database.run(
      `INSERT INTO checkpoints (id, job, run, task, kind, state, created_at)
       SELECT CAST(:id AS TEXT), job, run, CAST(:task AS TEXT), CAST(:kind AS TEXT), CAST(:state AS TEXT),
         CAST(:created_at AS TEXT)
       FROM runs WHERE job = :job AND run = :run AND fence = :fence`,
      { id, job, run, task, kind, state: JSON.stringify(state), created_at, fence },
    )
    if (kept === 0) throw fenced(`run ${run}`)
    return id
  }

  async find(id: string): Promise<Checkpoint | undefined> {
    const [found] = await this.database.all<Stored>(`${SELECT} WHERE id = :id`, { id })
    return found && parsed(found)
  }

  /** The run's latest, or its task's; of one kind where it is named. */
  async latest(run: string, task?: string, kind?: Checkpoint['kind']): Promise<Checkpoint | undefined> {
    const [found] = await this.database.all<Stored>(
      `${SELECT} WHERE run = :run ${task ? 'AND task = :task' : ''} ${kind ? 'AND kind = :kind' : ''}
       ORDER BY created_at DESC, id DESC LIMIT 1`,
      { run, ...(task && { task }), ...(kind && { kind }) },
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

  /** Removes all but the run's latest `keep`; gives how many went. */
  prune(run: string, keep: number): Promise<number> {
    return this.database.run(
      `DELETE FROM checkpoints WHERE run = :run AND id NOT IN
         (SELECT id FROM checkpoints WHERE run = :run ORDER BY created_at DESC, id DESC LIMIT :keep)`,
      { run, keep },
    )
  }
}

const parsed = (stored: Stored): Checkpoint => ({ ...stored, state: JSON.parse(stored.state) })
