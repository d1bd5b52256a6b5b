import type { Clock, TaskStore } from '../../engine/contracts/tasks.ts'
import { errorData } from '../../engine/errors.ts'
import type { Database, Queries } from './database.ts'
import { fenced, type Lease } from './leases.ts'
import { SHARED } from './runs.ts'

export type TaskStatus = 'RUNNING' | 'SUCCESS' | 'FAILED'

export interface TaskRecord {
  task: string
  status: TaskStatus
  /** How often it was begun. */
  attempt: number
  started_at: string
  ended_at: string | null
  /** What failed it, an error code where it has one. */
  code: string | null
  /** Why it failed, or what it waits for; JSON. */
  error: string | null
}

/** A run and the fence of whoever may write to it. */
export interface Held {
  run: string
  fence: number
  /** The lease of the step of the run that this process does, where several processes share the run. */
  step?: Lease
}

/** Tasks of a run in the order they began. */
export function tasksOf(queries: Queries, run: string): Promise<TaskRecord[]> {
  return queries.all(
    `SELECT task, status, attempt, started_at, ended_at, code, error FROM tasks WHERE run = :run
     ORDER BY started_at, task`,
    { run },
  )
}

/** Names of the tasks whose output is committed, in the order they began. */
export async function doneTasks(queries: Queries, run: string): Promise<string[]> {
  const found = await queries.all<{ task: string }>(
    `SELECT task FROM tasks WHERE run = :run AND status = 'SUCCESS' ORDER BY started_at, task`,
    { run },
  )
  return found.map(({ task }) => task)
}

/** Forgets tasks, so that they are done again. Fails with FENCED. */
export function forgetTasks(database: Database, held: Held, tasks: string[]): Promise<void> {
  const { run } = held
  return database.transaction(async queries => {
    if (!(await isHeld(queries, held))) throw fenced(`run ${run}`)
    for (const task of tasks)
      await queries.run('DELETE FROM tasks WHERE run = :run AND task = :task', { run, task })
  })
}

/** A task that failed, of a run that has ended, is done after all. */
export async function settleTask(
  database: Database,
  clock: Clock,
  { run, task, output }: { run: string; task: string; output: unknown },
): Promise<void> {
  await database.run(
    `UPDATE tasks SET status = 'SUCCESS', ended_at = :now, output = :output, code = NULL, error = NULL, retry_at = NULL
     WHERE run = :run AND task = :task AND status = 'FAILED'`,
    { run, task, now: clock.now().toISOString(), output: JSON.stringify(output) },
  )
}

/** Whether the run is still going, and nobody has taken it over. */
export async function isHeld(queries: Queries, { run, fence, step }: Held): Promise<boolean> {
  if (step) return isShared(queries, run, step)
  const rows = await queries.all(
    `SELECT 1 AS one FROM runs WHERE run = :run AND fence = :fence AND status = 'RUNNING'`,
    { run, fence },
  )
  return rows.length === 1
}

/** Whether the run is still shared by steps, and that one is still its owner's. */
async function isShared(queries: Queries, run: string, { name, owner, fence }: Lease): Promise<boolean> {
  const rows = await queries.all(
    `SELECT 1 AS one FROM runs r JOIN leases l ON l.name = :name AND l.owner = :owner AND l.fence = :fence
     WHERE r.run = :run AND r.owner = :shared AND r.status = 'RUNNING'`,
    { run, name, owner, fence, shared: SHARED },
  )
  return rows.length === 1
}

/**
 * What the engine remembers of a run. Writes of somebody whose fence is no longer the run's fail with FENCED. `alongside`
 * writes what is to be true together with a task's commit.
 */
export function taskStore(
  database: Database,
  clock: Clock,
  held: Held,
  alongside: (queries: Queries, task: string) => Promise<unknown> = async () => {},
): TaskStore {
  const { run, fence } = held
  const now = () => clock.now().toISOString()
  const guarded = (act: (queries: Queries) => Promise<unknown>, mayBeLost?: true) =>
    database.transaction(async queries => {
      if (!(await isHeld(queries, held))) throw fenced(`run ${run}`)
      await act(queries)
    }, mayBeLost)
  return {
    async output<T>(task: string) {
      const [row] = await database.all<{ output: string }>(
        `SELECT output FROM tasks WHERE run = :run AND task = :task AND status = 'SUCCESS'`,
        { run, task },
      )
      return row && (JSON.parse(row.output) as T)
    },
    async earlier<T>(task: string, of?: string) {
      const [row] = await database.all<{ run: string; output: string }>(
        `SELECT t.run, t.output FROM runs r JOIN tasks t ON t.run = r.run AND t.task = :task AND t.status = 'SUCCESS'
         WHERE r.job = (SELECT job FROM runs WHERE run = :run) AND r.run ${of === undefined ? '<> :run' : '= :of'}
         ORDER BY r.started_at DESC, r.run DESC LIMIT 1`,
        { run, task, ...(of !== undefined && { of }) },
      )
      return row && { run: row.run, output: JSON.parse(row.output) as T }
    },
    // A task whose beginning is forgotten is one that has not begun: it is done again either way.
    begin: task =>
      guarded(
        queries =>
          queries.run(
            `INSERT INTO tasks (run, task, status, fence, started_at) VALUES (:run, :task, 'RUNNING', :fence, :now)
           ON CONFLICT (run, task) DO UPDATE SET status = 'RUNNING', attempt = tasks.attempt + 1, fence = :fence,
             started_at = :now, ended_at = NULL, retry_at = NULL, code = NULL, error = NULL`,
            { run, task, fence, now: now() },
          ),
        true,
      ),
    commit: (task, output) =>
      guarded(async queries => {
        await queries.run(
          `UPDATE tasks SET status = 'SUCCESS', ended_at = :now, output = :output, code = NULL, error = NULL
           WHERE run = :run AND task = :task`,
          { run, task, now: now(), output: JSON.stringify(output) },
        )
        await insertParts(queries, run, partsIn(task, output))
        await alongside(queries, task)
      }),
    // Whoever runs the job keeps it as a checkpoint.
    async progress() {},
    // The failure of somebody who was overtaken is nobody's any more.
    async fail(task, error, retryAt) {
      await database.run(
        `UPDATE tasks SET status = 'FAILED', ended_at = :now, retry_at = :retry, code = :code, error = :error
         WHERE run = :run AND task = :task AND fence = :fence`,
        {
          run,
          task,
          fence,
          now: now(),
          retry: retryAt?.toISOString() ?? null,
          code: errorData(error).code ?? null,
          error: describe(error),
        },
      )
    },
  }
}

/** An error as the history keeps it: JSON of code, message, hint. */
export function describe(error: unknown): string {
  const { code, message, hint } = errorData(error)
  return JSON.stringify({ code, message, hint })
}

interface PartRow {
  dataset: string
  file: string
  rows: number
  bytes: number
}

// Extracts and change sets carry their parts in their output.
function partsIn(task: string, output: unknown): PartRow[] {
  const carriers = (Array.isArray(output) ? output : [output]) as {
    extract?: string
    parts?: Omit<PartRow, 'dataset'>[]
  }[]
  return carriers.flatMap(carrier =>
    (carrier?.parts ?? []).map(part => ({ dataset: carrier.extract ?? task, ...part })),
  )
}

/** Parts a statement: one each would be a round trip each. */
const AT_ONCE = 100

async function insertParts(queries: Queries, run: string, parts: PartRow[]): Promise<void> {
  for (let from = 0; from < parts.length; from += AT_ONCE) {
    const some = parts.slice(from, from + AT_ONCE)
    const values = some.map((_, i) => `(:run, :dataset${i}, :file${i}, :rows${i}, :bytes${i})`)
    await queries.run(
      `INSERT INTO parts (run, dataset, file, rows, bytes) VALUES ${values.join(', ')}
       ON CONFLICT (run, file) DO UPDATE SET dataset = excluded.dataset, rows = excluded.rows, bytes = excluded.bytes`,
      Object.assign(
        { run },
        ...some.map(({ dataset, file, rows, bytes }, i) => ({
          [`dataset${i}`]: dataset,
          [`file${i}`]: file,
          [`rows${i}`]: rows,
          [`bytes${i}`]: bytes,
        })),
      ),
    )
  }
}
