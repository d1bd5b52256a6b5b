import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { Branches } from '../../engine/flow/branches.ts'
import { diff } from '../../engine/flow/diff.ts'
import { load } from '../../engine/flow/load.ts'
import type { World } from '../../engine/flow/world.ts'
import type { Workers } from '../../engine/pool/pool.ts'
import type { Ledger, LoadSpec, Offload, Target } from '../../engine/ports.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { DuckdbTarget } from '../../src/connectors/duckdb/target.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { PostgresTarget } from '../../src/connectors/postgres/target.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { keyOf, type Model, modelOf, type Row, textOf } from './model.ts'

const postgres = await freshPostgres()
const mariadb = await freshMariadb()
let folder: string
let duck: Duck
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-nights-'))
  duck = await Duck.open({ threads: 1 })
})
after(() => {
  duck.close()
  rmSync(folder, { recursive: true })
})

const SHAPE = { a: 'INTEGER', b: 'VARCHAR', p: 'VARCHAR', x: 'INTEGER', d: 'DECIMAL(12,2)', t: 'TIMESTAMP' }
const columns = Object.entries(SHAPE).map(
  ([name, native]): Column => ({ name, type: typeFromName(native)!, nullable: true, native }),
)

const spec = (table: string, given: Partial<LoadSpec>): LoadSpec => ({
  table,
  to: 'w',
  from: 'm',
  mode: 'merge',
  key: ['a', 'b'],
  insertOnly: [],
  deletes: 'keep',
  partitionBy: [],
  compare: [],
  ignore: [],
  scd2: { validFrom: 'valid_from', validTo: 'valid_to', current: 'is_current' },
  guard: { maxDeleteShare: 1, allowEmpty: true },
  ...(given.deletes === 'soft' && { deletedAt: 'gone_at' }),
  ...given,
})

/** Every mode and what can be set in it: one load each, all in one job. */
const LOADS = [
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
]

/** One night: what the source holds, whether what is staged of the last one was lost, and where the run is cut. */
interface Night {
  rows: Row[]
  /** Indexes of rows that checks reject. */
  bad: number[]
  lost: boolean
  cut?: 'before commit' | 'after commit'
}

const row: fc.Arbitrary<Row> = fc.record({
  a: fc.integer({ min: 0, max: 3 }),
  b: fc.constantFrom('', "it's", 'ß'),
  p: fc.constantFrom(null, 'p', 'q'),
  x: fc.option(fc.integer({ min: 0, max: 2 }), { nil: null }),
  d: fc.constantFrom(null, '0.00', '-1.25', '9999999999.99'),
  t: fc.integer({ min: 0, max: 5 }),
})
const night: fc.Arbitrary<Night> = fc.record({
  rows: fc.uniqueArray(row, { selector: ({ a, b }) => `${a} ${b}`, maxLength: 9 }),
  bad: fc.uniqueArray(fc.nat({ max: 8 }), { maxLength: 2 }),
  lost: fc.boolean(),
  cut: fc.constantFrom(undefined, undefined, 'before commit', 'after commit'),
})

const literal = ({ a, b, p, x, d, t }: Row) =>
  `(${a}, ${quote(b)}, ${p === null ? 'NULL' : quote(p)}, ${x ?? 'NULL'}, ${d ?? 'NULL'}, TIMESTAMP '2026-01-01' + INTERVAL ${t} DAY)`

async function dataSet(root: string, run: string, { rows, bad }: Pick<Night, 'rows' | 'bad'>) {
  const file = `j/${run}/m.parquet`
  mkdirSync(join(root, `j/${run}`), { recursive: true })
  const list = Object.entries(SHAPE).map(([name, type], index) => `c${index}::${type} AS ${name}`)
  const values = rows.length > 0 ? rows.map(literal).join(', ') : '(NULL, NULL, NULL, NULL, NULL, NULL)'
  await duck.run(
    `COPY (SELECT ${list.join(', ')} FROM (VALUES ${values}) v(c0, c1, c2, c3, c4, c5) LIMIT ${rows.length})
     TO ${quote(join(root, file))} (FORMAT parquet)`,
  )
  const findings = `j/${run}/findings.parquet`
  await duck.run(
    `COPY (SELECT unnest(${JSON.stringify(bad)}::BIGINT[]) AS row, 'reject' AS severity)
     TO ${quote(join(root, findings))} (FORMAT parquet)`,
  )
  return {
    name: 'm',
    columns,
    file,
    ...(bad.length > 0 && { findings }),
    rows: rows.length,
    rejected: 0,
    marked: 0,
    checks: [],
  }
}

const offload: Offload = async (module, name, input) =>
  ((await import(module)) as Record<string, (input: unknown) => never>)[name]!(input)

const SECONDS = 10

class CutOff extends Error {}

/** A ledger in memory that fails where the run is to be cut. */
function ledgerOf(tasks: Map<string, unknown>, cut?: string): Ledger {
  return {
    output: async <T>(task: string) => tasks.get(task) as T | undefined,
    begin: async () => {},
    progress: async () => {},
    fail: async () => {},
    commit: async (task, output) => {
      if (cut === 'after commit' && task.startsWith('load.')) throw new CutOff()
      tasks.set(task, JSON.parse(JSON.stringify(output)))
    },
  }
}

const cutBefore = (target: Target): Target =>
  new Proxy(target, {
    get(object, name) {
      if (name === 'commit') return () => Promise.reject(new CutOff())
      // As after a kill: nobody clears up.
      if (name === 'abandon') return async () => {}
      const value = Reflect.get(object, name) as unknown
      return typeof value === 'function' ? value.bind(object) : value
    },
  })

async function runOnce(
  target: Target,
  root: string,
  run: string,
  at: Date,
  last: string | undefined,
  given: Night,
) {
  const tasks = new Map<string, unknown>()
  const table = await dataSet(root, run, given)
  const plan = { reads: [], loads: LOADS }
  const attempt = async (cut?: Night['cut']) => {
    const silent = () => {}
    const world = {
      spec: {
        job: 'j',
        loads: LOADS,
        resources: { threads: 1, memory: 1e8 },
        parallelism: { maxParallelLoads: 2 },
        retries: { limit: 0, delay: 0, maxDelay: 0 },
      },
      clock: { now: () => new Date() },
      stop: new AbortController().signal,
      fence: 1,
      run,
      runAt: at,
      targets: new Map([['w', cut === 'before commit' ? cutBefore(target) : target]]),
      root,
      staging: new LocalStaging(root),
      ledger: ledgerOf(tasks, cut),
      observer: { started: silent, advanced: silent, finished: silent, note: silent },
      signal: new AbortController().signal,
      workers: { offload } as unknown as Workers,
      duck,
    } as unknown as World
    const before = new Map(last ? [['w', given.lost ? 'lost' : last]] : [])
    const branches = new Branches(world)
    const changes = await diff(world, plan, [table], before, branches)
    const loaded = await load(world, changes, () => [{ extract: 'm', value: null, run }], branches)
    branches.check()
    return loaded
  }
  if (given.cut)
    await assert.rejects(attempt(given.cut), error => error instanceof CutOff || Promise.reject(error))
  return attempt()
}

interface Kind {
  name: string
  runs: number
  open(): Promise<{ target: Target; read(sql: string): Promise<Record<string, unknown>[]> }>
}

const KINDS: Kind[] = [
  {
    name: 'postgres',
    runs: 20,
    open: async () => {
      await postgres.query(
        'DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public',
      )
      return {
        target: new PostgresTarget({ name: 'w', url: postgres.url }),
        read: sql => postgres.query(sql),
      }
    },
  },
  {
    name: 'duckdb',
    runs: 20,
    open: async () => {
      const path = join(folder, `${Math.random()}.duckdb`)
      const target = new DuckdbTarget(path, 'w')
      const read = async (sql: string) => {
        await target.close()
        const reader = await Duck.open({ path })
        try {
          return await reader.rows(sql)
        } finally {
          reader.close()
        }
      }
      return { target, read }
    },
  },
  {
    name: 'mysql',
    runs: 20,
    open: async () => {
      const { name, url } = mariadb
      await mariadb.query(
        `DROP DATABASE ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}; SET sql_mode = 'PIPES_AS_CONCAT'`,
      )
      return { target: new MysqlTarget({ name: 'w', url }), read: sql => mariadb.query(asMysql(sql)) }
    },
  },
]

/** The same lines: dates without their fractions, truth in words. */
const asMysql = (sql: string) =>
  sql.replaceAll(/CAST\((.*?) AS text\)/g, (_, value: string) => {
    const plain = value.replace(` AT TIME ZONE 'UTC'`, '')
    if (/^(t|valid_from|valid_to)$/.test(plain)) return `DATE_FORMAT(${plain}, '%Y-%m-%d %H:%i:%s')`
    return /^is_current$|IS NULL$/.test(plain) ? `IF(${plain}, 'true', 'false')` : `CAST(${plain} AS CHAR)`
  })

for (const kind of KINDS)
  test(`${kind.name}: after every night each table is what its mode promises; a repeat changes nothing`, async () => {
    const deadline = Date.now() + SECONDS * 1000
    await fc.assert(
      fc.asyncProperty(fc.array(night, { minLength: 2, maxLength: 5 }), async nights => {
        // A slow machine tries fewer; fast-check's own limit would leave one running.
        if (Date.now() > deadline) return
        const root = mkdtempSync(join(folder, 'root-'))
        const { target, read } = await kind.open()
        try {
          const models = LOADS.map(modelOf)
          let last: string | undefined
          for (const [index, given] of nights.entries()) {
            const run = `r${index}`
            const at = new Date(Date.UTC(2026, 0, 3, index * 12))
            await runOnce(target, root, run, at, last, given)
            const good = given.rows.filter((_, index) => !given.bad.includes(index))
            const held = given.rows.filter((_, index) => given.bad.includes(index)).map(keyOf)
            for (const model of models) model.night(good, held, at, last !== undefined && given.lost)
            await compare(models, read, `night ${index}`)
            last = run
          }
          const again = { ...nights.at(-1)!, lost: false, cut: undefined }
          const at = new Date(Date.UTC(2026, 0, 3, nights.length * 12))
          // No last run: every row is staged, and the target finds out that it has them all.
          for (const { table, inserted, updated, deleted } of await runOnce(
            target,
            root,
            'again',
            at,
            undefined,
            again,
          ))
            if (table !== 'replaced_whole')
              assert.deepEqual(
                { table, inserted, updated, deleted },
                { table, inserted: 0, updated: 0, deleted: 0 },
              )
          await compare(models, read, 'the repeat')
        } finally {
          await target.close()
        }
      }),
      { numRuns: kind.runs },
    )
  })

async function compare(
  models: Model[],
  read: (sql: string) => Promise<Record<string, unknown>[]>,
  when: string,
): Promise<void> {
  const tables = models.map(
    model => `SELECT '${model.table}' AS name, ${textOf(model)} AS line FROM ${model.table}`,
  )
  const found = await read(`SELECT * FROM (${tables.join(' UNION ALL ')}) AS f ORDER BY 1, 2`)
  for (const model of models)
    assert.deepEqual(
      found
        .filter(({ name }) => name === model.table)
        .map(({ line }) => String(line))
        .sort(),
      model.lines().sort(),
      `${model.table} after ${when}`,
    )
}
