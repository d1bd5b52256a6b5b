import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, globSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ensureProgram } from '../debian.ts'
import { freePort, listening } from '../ports.ts'
import { freshPostgres, type Hooks } from '../servers.ts'
import { type Airflow, startAirflow } from './airflow.ts'

const REDIS = '/usr/bin/redis-server'
/** Milliseconds that a DAG run may take. */
const PATIENCE_MS = 3 * 3600_000

/** A process of Airflow's, and those that it starts. */
export interface Member {
  child: ChildProcess
  log: string
  /** Ends it and all that it started, at once. */
  kill(): void
}

/** An Airflow: scheduler, API server, DAG processor; its tasks are done by Celery's workers, which come and go, or by the scheduler. */
export interface Cluster {
  airflow: Airflow
  /** Where it does the tasks itself, in this environment. */
  scheduler(env?: Record<string, string>): Member
  worker(name: string, env: Record<string, string>): Promise<Member>
  /** Begins a run of a DAG by hand. */
  trigger(dag: string, run: string): Promise<void>
  /** The state in which a run of a DAG ended. */
  ended(dag: string, run: string): Promise<string>
  /** What the tasks of a run wrote, those that wrote last at the end. */
  written(run: string): string
  /** Tasks of a run: how often each was tried, and how long its last try took. */
  tasks(dag: string, run: string): Promise<{ task: string; tries: number; seconds: number }[]>
}

/** Started on free ports, with a database and a broker of its own; all of it goes with the test. */
export async function startCluster(
  hooks: Hooks,
  executor: 'CeleryExecutor' | 'LocalExecutor' = 'CeleryExecutor',
): Promise<Cluster> {
  ensureProgram(REDIS, 'redis-server')
  const members: Member[] = []
  // Before the database's own hook, which looks for connections that are left.
  hooks.after(async () => {
    for (const each of members) each.kill()
  })
  const database = await freshPostgres(hooks)
  const [broker, api] = [await freePort(), await freePort()]
  const airflow = await startAirflow(hooks, {
    celery: true,
    env: {
      AIRFLOW__CORE__EXECUTOR: executor,
      AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `http://127.0.0.1:${api}/execution/`,
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: database.url.replace(/^postgres(ql)?:/, 'postgresql+psycopg2:'),
      AIRFLOW__CELERY__BROKER_URL: `redis://127.0.0.1:${broker}/0`,
      AIRFLOW__CELERY__RESULT_BACKEND: database.url.replace(/^postgres(ql)?:/, 'db+postgresql:'),
      AIRFLOW__CELERY__WORKER_CONCURRENCY: '1',
      AIRFLOW__API_AUTH__JWT_SECRET: 'of-the-tests-and-of-nothing-else-but-the-tests',
      AIRFLOW__API__SECRET_KEY: 'of-the-tests',
      AIRFLOW__API__WORKERS: '1',
      // A worker that was killed is noticed in seconds, not in minutes.
      AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC: '5',
      AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT: '60',
      AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL: '5',
      AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL: '5',
    },
  })
  const logs = join(airflow.home, 'members')
  mkdirSync(logs)
  let started = 0
  const start = (name: string, command: string, args: string[], env: Record<string, string> = {}): Member => {
    const log = join(logs, `${++started}-${name}.log`)
    const file = openSync(log, 'a')
    // A group of its own, so that what it has started ends with it.
    const child = spawn(command, args, {
      cwd: airflow.home,
      env: { ...process.env, ...env, ...airflow.env },
      detached: true,
      stdio: ['ignore', file, file],
    })
    closeSync(file)
    const kill = () => {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // Gone by itself.
      }
    }
    const member = { child, log, kill }
    members.push(member)
    return member
  }
  const airflowMember = (name: string, args: string[], env?: Record<string, string>) =>
    start(name, airflow.program('airflow'), args, env)

  start('redis', REDIS, ['--port', String(broker), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'])
  airflowMember('api', ['api-server', '--port', String(api)])
  airflowMember('dags', ['dag-processor'])
  await listening(broker)
  await eventually('the API server', async () => {
    const answer = await fetch(`http://127.0.0.1:${api}/api/v2/monitor/health`).catch(() => undefined)
    return answer?.ok
  })
  const ask = async (text: string) => (await database.query(text)) as Record<string, unknown>[]
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
  return {
    airflow,
    scheduler: env => airflowMember('scheduler', ['scheduler'], env),
    async worker(name, env) {
      const worker = airflowMember(
        `worker-${name}`,
        ['celery', 'worker', '-H', name, '--without-gossip'],
        env,
      )
      await eventually(`worker ${name}`, async () => / ready\./.test(readFileSync(worker.log, 'utf8')))
      return worker
    },
    async trigger(dag, run) {
      await eventually(`DAG ${dag}`, async () => {
        return (await ask(`SELECT 1 FROM serialized_dag WHERE dag_id = ${quoted(dag)}`)).length > 0
      })
      for (const args of [
        ['dags', 'trigger', dag, '--run-id', run],
        ['dags', 'unpause', dag, '--yes'],
      ]) {
        const { code, output } = await airflow.run(args)
        if (code !== 0) throw new Error(output)
      }
    },
    async ended(dag, run) {
      return eventually(
        `run ${run}`,
        async () => {
          const [found] = await ask(
            `SELECT state FROM dag_run WHERE dag_id = ${quoted(dag)} AND run_id = ${quoted(run)}`,
          )
          const state = String(found?.state)
          return ['success', 'failed'].includes(state) && state
        },
        PATIENCE_MS,
      )
    },
    written(run) {
      const files = globSync(`logs/**/run_id=${run}/**/*.log`, { cwd: airflow.home }).map(file =>
        join(airflow.home, file),
      )
      const byTime = files.toSorted((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
      return byTime.map(file => `${file}\n${readFileSync(file, 'utf8').slice(-4000)}`).join('\n')
    },
    async tasks(dag, run) {
      const found = await ask(
        `SELECT task_id, map_index, try_number, duration FROM task_instance
         WHERE dag_id = ${quoted(dag)} AND run_id = ${quoted(run)} ORDER BY start_date`,
      )
      return found.map(({ task_id, map_index, try_number, duration }) => ({
        task: Number(map_index) < 0 ? String(task_id) : `${task_id}[${map_index}]`,
        tries: Number(try_number),
        seconds: Number(duration),
      }))
    },
  }
}

/** What is asked for until it is there; throws after a while. */
async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false | ''>,
  patience = 300_000,
): Promise<T> {
  for (const start = performance.now(); performance.now() - start < patience; ) {
    const found = await ask()
    if (found) return found
    await delay(500)
  }
  throw new Error(`${what} did not come within ${patience / 1000} s`)
}
