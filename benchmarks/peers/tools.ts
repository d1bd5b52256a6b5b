import { execFileSync, type StdioOptions } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureProgram } from '../../test/debian.ts'

/** What is compared, with the versions that are installed: each in an environment of its own. */
const PYTHON = {
  tpchgen: { main: 'tpchgen-cli==4.0.0', more: [] },
  sling: { main: 'sling-linux-amd64==1.4.11', more: [] },
  dlt: {
    main: 'dlt[postgres,filesystem]==1.31.0',
    more: ['connectorx==0.4.6', 'pyarrow==22.0.0', 'sqlalchemy==2.0.44', 'pymysql==1.1.2'],
  },
  dbt: { main: 'dbt-core==1.11.16', more: ['dbt-duckdb==1.11.1', 'duckdb==1.5.5'] },
  sqlmesh: { main: 'sqlmesh==0.236.4', more: ['duckdb==1.5.5'] },
  connectorx: { main: 'connectorx==0.4.6', more: ['pyarrow==22.0.0'] },
  duckdb: {
    main: 'duckdb==1.5.5',
    more: [
      'duckdb-extension-mysql-scanner==1.5.5',
      'duckdb-extension-postgres-scanner==1.5.5',
      'duckdb-extension-tpch==1.5.5',
    ],
  },
} as const

export type Tool = keyof typeof PYTHON

/** The folder of a tool's programs; the tool is installed where it is not. Throws where it cannot be. */
export function install(tool: Tool): string {
  const { main, more } = PYTHON[tool]
  const wanted = [main, ...more]
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  const folder = join(cache, 'nightfreight-bench', tool)
  const done = join(
    folder,
    wanted
      .join(' ')
      .replaceAll(/[^\w.=-]+/g, '_')
      .slice(0, 200),
  )
  const bin = join(folder, 'bin')
  if (existsSync(done)) return bin
  console.error(`installing ${wanted.join(' ')} into ${folder}`)
  mkdirSync(folder, { recursive: true })
  const stdio: StdioOptions = ['ignore', 'ignore', 2]
  execFileSync('python3', ['-m', 'venv', folder], { stdio })
  execFileSync(join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...wanted], { stdio })
  writeFileSync(done, '')
  return bin
}

/** pgloader, of the distribution. */
export function installPgloader(): string {
  ensureProgram('/usr/bin/pgloader', 'pgloader')
  return '/usr/bin/pgloader'
}

/** Name and version of a tool, as the tables show it. */
export const versionOf = (tool: Tool) =>
  PYTHON[tool].main
    .replace('-linux-amd64', '')
    .replace(/\[.*\]/, '')
    .replace('==', ' ')
