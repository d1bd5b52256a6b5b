import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { Target } from '../../engine/contracts/target.ts'
import { diff } from '../../engine/diff/diff.ts'
import { accountBeforeLoad, accountLoads } from '../../engine/load/accounts.ts'
import { load } from '../../engine/load/load.ts'
import { FailureScope } from '../../engine/runtime/failureScope.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lookAt } from '../../engine/verify/standing.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import {
  contextOf,
  dataSet,
  duckdbKind,
  type Kind,
  LOADS,
  lakeKind,
  mysqlKind,
  postgresKind,
  type Query,
  syncPointsOf,
  taskStoreOf,
} from './everyMode.ts'
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

const SECONDS = 10

class CutOff extends Error {}

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
  const table = await dataSet(duck, root, run, given.rows, given.bad)
  const attempt = async (cut?: Night['cut']) => {
    const cutAfter = (task: string) => {
      if (cut === 'after commit' && task.startsWith('load.')) throw new CutOff()
    }
    const opened = cut === 'before commit' ? cutBefore(target) : target
    const context = contextOf(
      { root, run, runAt: at, tasks: taskStoreOf(tasks, cutAfter), target: opened, duck },
      LOADS,
    )
    const before = new Map(last ? [['w', given.lost ? 'lost' : last]] : [])
    const failures = new FailureScope(context)
    const changes = await diff(context, [table], before, lookAt({ reads: [], loads: [] }), failures)
    accountBeforeLoad([], [table], [], changes)
    const loaded = await load(context, changes, syncPointsOf(run), failures, [])
    failures.check()
    // Every row is accounted for, in every mode, on every target.
    accountLoads([], [table], changes, loaded)
    return loaded
  }
  if (given.cut)
    await assert.rejects(attempt(given.cut), error => error instanceof CutOff || Promise.reject(error))
  return attempt()
}

/** An empty place for the kind, and how SQL is run there. */
type Emptied = () => Promise<{ place: string; query?: Query }>

const KINDS: [Kind, Emptied][] = [
  [
    postgresKind,
    async () => {
      await postgres.query(
        'DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public',
      )
      return { place: postgres.url, query: postgres.query }
    },
  ],
  [
    mysqlKind,
    async () => {
      const { name, url, query } = mariadb
      await query(
        `DROP DATABASE ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}; SET sql_mode = 'PIPES_AS_CONCAT'`,
      )
      return { place: url, query }
    },
  ],
  [duckdbKind, async () => ({ place: join(folder, `${Math.random()}.duckdb`) })],
  [lakeKind, async () => ({ place: join(folder, `lake ${Math.random()}`) })],
]

for (const [kind, emptied] of KINDS)
  test(`${kind.name}: after every night each table is what its mode promises; a repeat changes nothing`, async () => {
    const deadline = Date.now() + SECONDS * 1000
    await fc.assert(
      fc.asyncProperty(fc.array(night, { minLength: 2, maxLength: 5 }), async nights => {
        // A slow machine tries fewer; fast-check's own limit would leave one running.
        if (Date.now() > deadline) return
        const root = mkdtempSync(join(folder, 'root-'))
        const { place, query } = await emptied()
        const target = kind.open(place)
        const read = async (sql: string) => {
          await target.close()
          return kind.read(place, sql, query)
        }
        try {
          const models = LOADS.map(modelOf)
          let last: string | undefined
          for (const [index, given] of nights.entries()) {
            const run = `r${index}`
            const at = new Date(Date.UTC(2026, 0, 3, index * 12))
            await runOnce(target, root, run, at, last, given)
            const good = given.rows.filter((_, index) => !given.bad.includes(index))
            const held = given.rows.filter((_, index) => given.bad.includes(index)).map(keyOf)
            for (const model of models) model.night(good, held, at)
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
      { numRuns: 20 },
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
