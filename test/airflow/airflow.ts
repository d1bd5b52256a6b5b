import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endOf } from '../commandLine.ts'
import { putProgram } from '../program.ts'
import { pythonWith } from '../python.ts'
import type { Hooks } from '../servers.ts'

const VERSION = '3.3.2'
/** What exported DAGs import, and Ruff for its rules of Airflow. */
const PROVIDERS = [
  ...['docker', 'cncf-kubernetes', 'smtp'].map(name => `apache-airflow-providers-${name}`),
  'ruff',
].join(' ')

/** An Airflow with an empty folder of DAGs and a database of its own. */
export interface Airflow {
  home: string
  dags: string
  /** The environment of its commands. */
  env: Record<string, string>
  /** Runs a command of Airflow's; its exit code and all that it printed. */
  run(args: string[], env?: Record<string, string>): Promise<{ code: number | null; output: string }>
  /** A program of Airflow's environment. */
  program(name: string): string
}

interface AirflowOptions {
  /** Whether Celery does the tasks. */
  celery?: boolean
  /** Settings. */
  env?: Record<string, string>
}

/** Airflow from PyPI, installed into the tests' cache where it is not there; its folder goes with the test. */
export async function startAirflow(hooks: Hooks, options: AirflowOptions = {}): Promise<Airflow> {
  const bin = options.celery
    ? // The provider imports what Celery 5.7 has no more.
      pythonWith('airflow-celery', VERSION, `apache-airflow[celery,postgres]==${VERSION} celery<5.7`)
    : pythonWith('airflow-pods', VERSION, `apache-airflow==${VERSION} ${PROVIDERS}`)
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-airflow-'))
  hooks.after(async () => rmSync(home, { recursive: true, force: true }))
  const dags = join(home, 'dags')
  const path = join(home, 'bin')
  mkdirSync(dags)
  putProgram(path)
  const own: Record<string, string> = {
    PATH: `${path}:${bin}:${process.env.PATH}`,
    AIRFLOW_HOME: home,
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__DAGS_FOLDER: dags,
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: 'False',
    ...options.env,
  }
  const run: Airflow['run'] = async (args, env = {}) => {
    const child = spawn(join(bin, 'airflow'), args, { cwd: home, env: { ...process.env, ...env, ...own } })
    return endOf(child)
  }
  const made = await run(['db', 'migrate'])
  if (made.code !== 0) throw new Error(`airflow db migrate: ${made.output}`)
  return { home, dags, env: own, run, program: name => join(bin, name) }
}
