import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endOf } from '../commandLine.ts'
import { putProgram } from '../program.ts'
import { pythonWith } from '../python.ts'
import type { Hooks } from '../servers.ts'

const VERSION = '3.3.2'

/** An Airflow with an empty folder of DAGs and a database of its own. */
export interface Airflow {
  dags: string
  /** Runs a command of Airflow's; its exit code and all that it printed. */
  run(args: string[], env?: Record<string, string>): Promise<{ code: number | null; output: string }>
  /** A program of Airflow's environment. */
  program(name: string): string
}

/** Airflow from PyPI, installed into the tests' cache where it is not there; its folder goes with the test. */
export async function startAirflow(hooks: Hooks): Promise<Airflow> {
  const bin = pythonWith('airflow', VERSION, `apache-airflow==${VERSION}`)
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-airflow-'))
  hooks.after(async () => rmSync(home, { recursive: true, force: true }))
  const dags = join(home, 'dags')
  const path = join(home, 'bin')
  mkdirSync(dags)
  putProgram(path)
  const own = {
    PATH: `${path}:${bin}:${process.env.PATH}`,
    AIRFLOW_HOME: home,
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__DAGS_FOLDER: dags,
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: 'False',
  }
  const run: Airflow['run'] = async (args, env = {}) => {
    const child = spawn(join(bin, 'airflow'), args, { cwd: home, env: { ...process.env, ...env, ...own } })
    return endOf(child)
  }
  const made = await run(['db', 'migrate'])
  if (made.code !== 0) throw new Error(`airflow db migrate: ${made.output}`)
  return { dags, run, program: name => join(bin, name) }
}
