import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadSpec, Offload } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import type { TaskStore } from '../../engine/contracts/tasks.ts'
import type { Workers } from '../../engine/pool/pool.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { partOf } from '../../engine/staging/store.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { DuckdbTarget } from '../../src/connectors/duckdb/target.ts'
import { connectors } from '../../src/connectors/index.ts'
import { openFiles, tableSql } from '../../src/connectors/lake/files.ts'
import { columnsOf, Log } from '../../src/connectors/lake/log.ts'
import { LakeTarget } from '../../src/connectors/lake/target.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { PostgresTarget } from '../../src/connectors/postgres/target.ts'
import { FolderStore } from '../../src/stores/folder.ts'
import type { FileStore } from '../../src/stores/store.ts'
import type { Row } from './model.ts'
import { PLAIN_LOAD } from './plainLoad.ts'

const SHAPE = {
  a: 'INTEGER',
  b: 'VARCHAR',
  p: 'VARCHAR',
  x: 'DOUBLE',
  d: 'DECIMAL(12,2)',
  s: 'VARCHAR',
  iv: 'VARCHAR',
  t: 'TIMESTAMP',
}
const columns = Object.entries(SHAPE).map(
  ([name, native]): Column => ({ name, type: typeFromName(native)!, nullable: true, native }),
)

const { whole: _, ...plain } = PLAIN_LOAD
/** A load of the data set into a table: a merge by its key, where nothing else is said. */
export const spec = (table: string, given: Partial<LoadSpec>): LoadSpec => ({
  ...plain,
  table,
  key: ['a', 'b'],
  guard: { maxDeleteShare: 1, allowEmpty: true },
  onDuplicate: 'newest',
  ...(given.deletes === 'soft' && given.mode !== 'scd2' && { deletedAt: 'gone_at' }),
  ...given,
})

/** Every mode and what can be set in it: one load each. */
export const LOADS = [
  spec('appended', { mode: 'append' }),
  spec('merged', {}),
  spec('merged_hard', { deletes: 'hard' }),
  spec('merged_soft', { deletes: 'soft', stamp: 'at' }),
  spec('merged_newer', { newer: 't' }),
  spec('merged_newer_soft', { newer: 't', deletes: 'soft' }),
  spec('merged_newer_hard', { newer: 't', deletes: 'hard', insertOnly: ['x'] }),
  spec('replaced', { mode: 'replace' }),
  spec('replaced_whole', { mode: 'replace', key: [] }),
  spec('partitioned', { mode: 'partition', partitionBy: ['p'] }),
  spec('history', { mode: 'scd2' }),
  spec('history_hard', { mode: 'scd2', deletes: 'hard' }),
  spec('history_newer', { mode: 'scd2', newer: 't' }),
  spec('history_newer_soft', { mode: 'scd2', newer: 't', deletes: 'soft' }),
  spec('batched_hard', { deletes: 'hard', batchRows: 1 }),
  spec('batched_history', { mode: 'scd2', newer: 't', deletes: 'soft', batchRows: 1 }),
]

const text = (value: string | null) => (value === null ? 'NULL' : quote(value))
const literal = ({ a, b, p, x, d, s, iv, t }: Row) =>
  `(${a}, ${quote(b)}, ${text(p)}, ${x === null ? 'NULL' : `'${Object.is(x, -0) ? '-0' : x}'::DOUBLE`}, ${d ?? 'NULL'}, ${text(s)},
    ${text(iv)}, ${t === null ? 'NULL' : `TIMESTAMP '2026-01-01' + INTERVAL ${t} DAY`})`

/** Writes a run's data set `m`; `bad`: indexes of rows that checks reject. */
export async function dataSet(duck: Duck, root: string, run: string, rows: Row[], bad: number[] = []) {
  const file = `j/${run}/m.parquet`
  mkdirSync(join(root, `j/${run}`), { recursive: true })
  const list = Object.entries(SHAPE).map(([name, type], index) => `c${index}::${type} AS ${name}`)
  const values =
    rows.length > 0 ? rows.map(literal).join(', ') : '(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)'
  // As the product writes: a dictionary knows one zero.
  await duck.copyParquet(
    `SELECT ${list.join(', ')} FROM (VALUES ${values}) v(c0, c1, c2, c3, c4, c5, c6, c7) LIMIT ${rows.length}`,
    join(root, file),
  )
  const findings = `j/${run}/findings.parquet`
  await duck.run(
    `COPY (SELECT unnest(${JSON.stringify(bad)}::BIGINT[]) AS row, 'reject' AS severity)
     TO ${quote(join(root, findings))} (FORMAT parquet)`,
  )
  return {
    name: 'm',
    columns,
    parts: [await partOf(root, file)],
    ...(bad.length > 0 && { findings }),
    rows: rows.length,
    rejected: bad.filter(row => row < rows.length).length,
    marked: 0,
    checks: [],
  }
}

const offload: Offload = async (module, name, input) =>
  ((await import(module)) as Record<string, (input: unknown) => never>)[name]!(input)

/** A store in memory, over the outputs of `tasks`; `before` is called before one is committed. */
export function taskStoreOf(
  tasks: Map<string, unknown>,
  before: (task: string) => void = () => {},
): TaskStore {
  return {
    output: async <T>(task: string) => tasks.get(task) as T | undefined,
    begin: async () => {},
    progress: async () => {},
    fail: async () => {},
    commit: async (task, output) => {
      before(task)
      tasks.set(task, JSON.parse(JSON.stringify(output)))
    },
  }
}

/** A context with one target, as far as comparing and loading need one. */
export function contextOf(
  means: Pick<RunContext, 'root' | 'run' | 'runAt' | 'tasks'> & { target: Target; duck?: Duck },
  loads: LoadSpec[],
): RunContext {
  const silent = () => {}
  return {
    // A load alone asks DuckDB nothing.
    duck: { interruptOn: () => () => {} },
    ...means,
    spec: {
      job: 'j',
      loads,
      resources: { threads: 1, memory: 1e8 },
      parallelism: { maxParallelLoads: 2 },
      retries: { limit: 0, delay: 0, maxDelay: 0 },
    },
    clock: { now: () => new Date() },
    staging: new LocalStaging(means.root),
    stop: new AbortController().signal,
    fence: 1,
    targets: new Map([['w', means.target]]),
    progress: { started: silent, advanced: silent, finished: silent, note: silent },
    signal: new AbortController().signal,
    workers: { offload } as unknown as Workers,
  } as unknown as RunContext
}

export const syncPointsOf = (run: string) => () => [{ extract: 'm', value: null, run }]

/** A system that is loaded into, as tests open and read it. `place`: a URL, or a path. */
export interface Kind {
  name: string
  /** `around`: of a system in this process, goes around each of its steps. */
  open(place: string, around?: Around): Target
  /** Rows of a query in the SQL that Postgres and DuckDB share; `query` runs SQL on the server, where there is one. */
  read(place: string, sql: string, query?: Query): Promise<Record<string, unknown>[]>
}

/** Does one step of a target, or does not. */
export type Around = (step: string, act: () => Promise<unknown>) => Promise<unknown>

export type Query = (sql: string) => Promise<Record<string, unknown>[]>

const inDuck = async (path: string | undefined, sql: string, views: string[] = []) => {
  const reader = await Duck.open({ ...(path !== undefined && { path }), threads: 1 })
  try {
    for (const view of views) await reader.run(view)
    return await reader.rows(sql)
  } finally {
    reader.close()
  }
}

export const postgresKind: Kind = {
  name: 'postgres',
  open: url => new PostgresTarget({ name: 'w', url }),
  read: (_, sql, query) => query!(sql),
}

export const mysqlKind: Kind = {
  name: 'mysql',
  open: url => new MysqlTarget({ name: 'w', url }),
  read: (_, sql, query) => query!(asMysql(sql)),
}

/** Read once its target is closed: two sessions cannot have the file. */
export const duckdbKind: Kind = {
  name: 'duckdb',
  open(path, around) {
    const target = new DuckdbTarget(path, 'w')
    const own = target as unknown as { open(): Promise<Duck> }
    const open = own.open.bind(target)
    if (around) own.open = async () => stepping(await open(), { run: sql => sql, rows: sql => sql }, around)
    return target
  },
  read: (path, sql) => inDuck(path, sql),
}

export const lakeKind: Kind = {
  name: 'lake',
  open(root, around) {
    const store = new FolderStore(root)
    const steps = {
      put: FILE,
      putIfAbsent: FILE,
      putFile: FILE,
      move: FILE,
      delete: FILE,
      work: () => 'work folder',
    }
    return new LakeTarget(around ? stepping<FileStore>(store, steps, around) : store, 'w', {
      compression: 'snappy',
      target: 1500,
    })
  },
  async read(root, sql) {
    const store = new FolderStore(root)
    const log = new Log(store)
    const newest = await log.newest()
    const views: string[] = []
    for (const table of Object.keys(newest?.tables ?? {})) {
      const manifest = (await log.manifest(newest, table))!
      const rows = tableSql(columnsOf(manifest), await openFiles(store, table, manifest.files))
      views.push(`CREATE VIEW ${table} AS ${rows}`)
    }
    return inDuck(undefined, sql, views)
  },
}

export const KINDS = [postgresKind, mysqlKind, duckdbKind, lakeKind]

/** {@link LOADS} in the modes that a kind's connector declares. */
export function loadsOf(kind: Kind): LoadSpec[] {
  const { modes } = connectors.find(({ name }) => name === kind.name)!.capabilities
  return LOADS.filter(({ mode }) => modes.includes(mode))
}

const FILE = (path: string) => path.replaceAll(/[0-9a-f-]{36}|-[0-9a-f]{8}/g, '')

/** `object` with `around` each of its methods that `steps` gives a name from the first argument. */
function stepping<T extends object>(
  object: T,
  steps: Partial<Record<keyof T, (argument: string) => string>>,
  around: Around,
): T {
  return new Proxy(object, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown
      if (typeof value !== 'function') return value
      const step = steps[name as keyof T]
      const method = name.toString()
      if (!step) return value.bind(target)
      return (...args: [string]) =>
        around(`${method} ${step(args[0])}`, () => Reflect.apply(value, target, args) as Promise<unknown>)
    },
  })
}

/** The same lines: dates without their fractions, truth in words. */
const asMysql = (sql: string) =>
  sql.replaceAll(/CAST\((.*?) AS text\)/g, (_, value: string) => {
    const plain = value.replace(` AT TIME ZONE 'UTC'`, '')
    if (/^(t|valid_from|valid_to)$/.test(plain)) return `DATE_FORMAT(${plain}, '%Y-%m-%d %H:%i:%s')`
    return /^is_current$|IS NULL$/.test(plain) ? `IF(${plain}, 'true', 'false')` : `CAST(${plain} AS CHAR)`
  })
