import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { diff } from '../../engine/diff/diff.ts'
import { accountBeforeLoad, accountLoads } from '../../engine/load/accounts.ts'
import { load } from '../../engine/load/load.ts'
import { lastRunOf } from '../../engine/plan/commitOwner.ts'
import { FailureScope } from '../../engine/runtime/failureScope.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lookAt } from '../../engine/verify/standing.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import {
  contextOf,
  dataSet,
  duckdbKind,
  type Kind,
  lakeKind,
  mysqlKind,
  postgresKind,
  type Query,
  spec,
  syncPointsOf,
  taskStoreOf,
} from './everyMode.ts'
import { signal } from './loading.ts'
import { clockColumns, type Held, keyOf, lineOf, loaded, type Row, textOf } from './model.ts'

/** Random loads of a run, and of these so many a target: `npm run soak:semantics` tries more. */
const LOADS = 10
const CASES = Number(process.env.SOAK_CASES ?? 200)
const NIGHTS = process.env.SOAK_CASES ? 4 : 2
/** The suite tries the same loads each time, so that what it finds is of the change; the soak others. */
const SEED = process.env.SOAK_SEED
  ? Number(process.env.SOAK_SEED)
  : process.env.SOAK_CASES
    ? undefined
    : 20_260_201

const postgres = await freshPostgres()
const mariadb = await freshMariadb()
let folder: string
let duck: Duck
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-semantics-'))
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

// Keys and values that differ and that some database takes for equal, and rows that share a key.
const row: fc.Arbitrary<Row> = fc.record({
  a: fc.integer({ min: 0, max: 1 }),
  b: fc.constantFrom('', 'x', 'X', 'x ', 'é', 'e\u0301'),
  p: fc.constantFrom(null, 'p', 'q'),
  x: fc.constantFrom(null, 0, -0, 1.5),
  d: fc.constantFrom(null, '0.00', '-1.25', '9999999999.99'),
  s: fc.constantFrom(null, 't', 'T', 't '),
  iv: fc.constantFrom(null, '1 day', '24:00:00'),
  t: fc.option(fc.integer({ min: 0, max: 4 }), { freq: 8 }),
})
const night: fc.Arbitrary<Night> = fc.record({
  rows: fc.array(row, { maxLength: 9 }),
  bad: fc.uniqueArray(fc.nat({ max: 8 }), { maxLength: 2 }),
  lost: fc.boolean(),
  cut: fc.constantFrom(undefined, undefined, undefined, 'before commit', 'after commit'),
})

const options = fc.record({
  mode: fc.constantFrom('append', 'merge', 'merge', 'merge', 'replace', 'partition', 'scd2', 'scd2'),
  deletes: fc.constantFrom('keep', 'hard', 'soft'),
  newer: fc.boolean(),
  stamp: fc.boolean(),
  batches: fc.boolean(),
  keyless: fc.boolean(),
  partitioned: fc.boolean(),
  insertOnly: fc.subarray(['x', 's', 'd']),
  compare: fc.oneof(fc.constant([]), fc.subarray(['p', 'x', 'iv', 't'])),
  ignore: fc.oneof(fc.constant([]), fc.subarray(['d', 's', 'x'])),
})
type Drawn = typeof options extends fc.Arbitrary<infer Drawn> ? Drawn : never

type History = [Night[], Drawn[]]

/** A row of a history, night by night: its value and its day; nothing where it is gone. Where only `iv` counts, all that counts is NULL. */
function historyOf(...days: [p?: string, t?: number | null][]): History {
  const nights = days.map(([p, t = 1]) => ({
    rows: p === undefined ? [] : [{ a: 0, b: 'x', p, x: null, d: null, s: null, iv: null, t }],
    bad: [],
    lost: true,
  }))
  const load = { mode: 'scd2', deletes: 'hard', newer: true, stamp: true, batches: false } as const
  const rest = { keyless: false, partitioned: false, insertOnly: [], ignore: [] }
  const compared: Drawn['compare'][] = [[], ['p'], ['iv']]
  return [nights, compared.map(compare => ({ ...load, ...rest, compare }))]
}

/** It comes back, though it says it is older than its end: then unchanged, corrected, newer, and still older than its return. */
const CAME_BACK = historyOf(['p'], [], ['q'], ['q'], ['p'], ['q', 2])

/** Without a day below a version of days to come, which then begins; corrected before that, and after. */
const BEFORE_ITS_TIME = [
  historyOf(['p', 4], ['q', null], ['q', null], ['q', null], ['q', null], ['q', null]),
  historyOf(['p', 3], ['q', null], ['r', null], ['r', null], ['p', null], ['q', null]),
  // Back when the end of its last version is still to come.
  historyOf(['p', 4], [], ['q', null], ['p', null], ['p', null], ['q', null]),
]

/** A row that is older than the table's, and later as new with values that were refused then: whatever columns are compared. */
const REFUSED_THEN: [Night[], Drawn[]] = (() => {
  const nights = (
    [
      ['p', 3],
      ['q', 1],
      ['q', 4],
    ] as const
  ).map(([p, t]) => ({
    rows: [{ a: 0, b: 'x', p, x: null, d: null, s: null, iv: null, t }],
    bad: [],
    lost: false,
  }))
  const load = { deletes: 'keep', newer: true, stamp: true, batches: false, keyless: false } as const
  return [
    nights,
    (['merge', 'scd2'] as const).flatMap(mode =>
      ([[], ['p']] as const).map(compare => ({
        ...load,
        mode,
        partitioned: false,
        insertOnly: [],
        compare: [...compare],
        ignore: [],
      })),
    ),
  ]
})()

/** In every mode a row that the first night rejected, and the second does not. */
const REJECTED_FIRST: [Night[], Drawn[]] = (() => {
  const rows = [{ a: 0, b: 'x', p: 'p', x: 1.5, d: null, s: null, iv: null, t: 1 }]
  const nights = [[0], []].map(bad => ({ rows, bad, lost: false }))
  const modes: Drawn['mode'][] = ['append', 'merge', 'replace', 'partition', 'scd2']
  const none = { keyless: false, partitioned: false, insertOnly: [], compare: [], ignore: [] }
  const load = { ...none, newer: false, stamp: false, batches: false }
  return [
    nights,
    modes.flatMap(mode => (['keep', 'hard'] as const).map(deletes => ({ ...load, mode, deletes }))),
  ]
})()

/** A load of what is drawn, less what has no meaning in its mode. */
function loadOf(drawn: Drawn, index: number): LoadSpec {
  const { mode, newer, stamp, batches, keyless, partitioned, insertOnly, compare, ignore } = drawn
  const mirrors = mode === 'replace' || mode === 'partition'
  const whole = mode === 'replace' && keyless
  return spec(`t${index}`, {
    mode,
    ...(whole && { key: [] }),
    ...(newer && { newer: 't' }),
    ...(stamp && !whole && { stamp: 'stamped' }),
    ...(batches && !mirrors && { batchRows: 4 }),
    ...(mode === 'merge' && { insertOnly }),
    ...(mode !== 'append' && { compare, ignore }),
    ...((mode === 'merge' || mode === 'scd2') && drawn.deletes === 'hard' && { deletes: 'hard' }),
    ...(mode === 'merge' && drawn.deletes === 'soft' && { deletes: 'soft' }),
    ...((mode === 'partition' || partitioned) && { partitionBy: ['p'] }),
  } as Partial<LoadSpec>)
}

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

/** A run of a night's loads, cut and repeated where the night says so. */
async function runOnce(
  target: Target,
  loads: LoadSpec[],
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
      loads,
    )
    const before = new Map(last ? [['w', given.lost ? 'lost' : last]] : [])
    const failures = new FailureScope(context)
    const found = await diff(context, [table], before, lookAt({ reads: [], loads: [] }), failures)
    // Of a lost run what is staged is gone, not what it has loaded.
    const base = lastRunOf(await target.syncPoints(context.spec.job, signal), run) ?? null
    const changes = found.map(each => ({ ...each, base }))
    accountBeforeLoad([], [table], [], changes)
    const results = await load(context, changes, syncPointsOf(run), failures, [], before)
    failures.check()
    // Every row is accounted for, in every mode, on every target.
    accountLoads([], [table], changes, results)
    return results
  }
  if (given.cut)
    await assert.rejects(attempt(given.cut), error => error instanceof CutOff || Promise.reject(error))
  return attempt()
}

/** A kind of target as the property needs it. */
interface Tried {
  kind: Kind
  /** An empty place, and how SQL is run there. */
  emptied(): Promise<{ place: string; query?: Query }>
  /** Gives a table, made by its first load, columns that take different values for equal. */
  fold?(table: string): string[]
  /** Whether it keeps the sign of zero. */
  signedZero: boolean
}

const TRIED: Tried[] = [
  {
    kind: postgresKind,
    async emptied() {
      await postgres.query(
        `DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
         CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
      )
      return { place: postgres.url, query: postgres.query }
    },
    fold: table => [
      `ALTER TABLE ${table} ALTER iv TYPE interval USING iv::interval, ALTER s TYPE text COLLATE folded`,
    ],
    signedZero: true,
  },
  {
    kind: mysqlKind,
    async emptied() {
      const { name, url, query } = mariadb
      await query(
        `DROP DATABASE ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}; SET sql_mode = 'PIPES_AS_CONCAT'`,
      )
      return { place: url, query }
    },
    fold: table => [`ALTER TABLE ${table} MODIFY s varchar(9) COLLATE utf8mb4_general_ci`],
    signedZero: false,
  },
  {
    kind: duckdbKind,
    emptied: async () => ({ place: join(folder, `${Math.random()}.duckdb`) }),
    signedZero: false,
  },
  {
    kind: lakeKind,
    emptied: async () => ({ place: join(folder, `lake ${Math.random()}`) }),
    signedZero: true,
  },
]

for (const { kind, emptied, fold, signedZero } of TRIED)
  test(`${kind.name}: after every night each table is what the model says; a repeat changes nothing`, async () => {
    const zero = (x: number) => (x === 0 && !signedZero ? 0 : x)
    const held = ({ x, ...row }: Row): Row => ({ ...row, x: x === null ? null : zero(x) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(night, { minLength: 2, maxLength: NIGHTS }),
        fc.array(options, { minLength: LOADS, maxLength: LOADS }),
        async (nights, drawn) => {
          const loads = drawn.map(loadOf)
          const root = mkdtempSync(join(folder, 'root-'))
          const { place, query } = await emptied()
          const target = kind.open(place)
          const read = async (sql: string) => {
            await target.close()
            return kind.read(place, sql, query)
          }
          const tables = new Map<LoadSpec, Held[]>(loads.map(load => [load, []]))
          const clocks = new Map<string, number>()
          const atNight = (number: number) => new Date(Date.UTC(2026, 0, 3, number * 12))
          try {
            let last: string | undefined
            for (const [number, given] of nights.entries()) {
              const run = `r${number}`
              const at = atNight(number)
              await runOnce(target, loads, root, run, at, last, given)
              const good = given.rows.filter((_, index) => !given.bad.includes(index)).map(held)
              const rejected = given.rows.filter((_, index) => given.bad.includes(index)).map(keyOf)
              for (const [load, table] of tables)
                tables.set(load, loaded(table, good, load, { number, at, rejected }))
              await compare(tables, read, clocks, number, zero)
              if (number === 0 && fold && query)
                for (const { table } of loads) for (const sql of fold(table)) await query(sql)
              last = run
            }
            const again = { ...nights.at(-1)!, lost: false, cut: undefined }
            // No last run: every row is staged, and the target finds out that it has them all.
            const results = await runOnce(
              target,
              loads,
              root,
              'again',
              atNight(nights.length),
              undefined,
              again,
            )
            for (const [index, { table, inserted, updated, deleted }] of results.entries())
              if (loads[index]!.key.length > 0)
                assert.deepEqual(
                  { table, inserted, updated, deleted },
                  { table, inserted: 0, updated: 0, deleted: 0 },
                  JSON.stringify(loads[index]),
                )
            await compare(tables, read, clocks, nights.length, zero)
          } finally {
            await target.close()
            rmSync(root, { recursive: true })
          }
        },
      ),
      {
        numRuns: Math.ceil(CASES / LOADS),
        examples: [CAME_BACK, ...BEFORE_ITS_TIME, REFUSED_THEN, REJECTED_FIRST],
        endOnFailure: true,
        ...(SEED !== undefined && { seed: SEED }),
        ...(process.env.SOAK_PATH && { path: process.env.SOAK_PATH }),
      },
    )
  })

/** Compares every table with its model; `clocks` are the nights of the target's own times. */
async function compare(
  tables: Map<LoadSpec, Held[]>,
  read: (sql: string) => Promise<Record<string, unknown>[]>,
  clocks: Map<string, number>,
  night: number,
  zero: (x: number) => number,
): Promise<void> {
  const selected = [...tables.keys()].map(
    load => `SELECT '${load.table}' AS name, ${textOf(load, clockColumns(load))} AS line FROM ${load.table}`,
  )
  const found = Map.groupBy(await read(selected.join(' UNION ALL ')), ({ name }) => String(name))
  for (const [load, table] of tables) {
    const lines = (found.get(load.table) ?? []).map(({ line }) => {
      const fields = String(line).split(';')
      const x = zero(Number(fields[3]))
      if (fields[3] !== '-') fields[3] = Object.is(x, -0) ? '-0' : String(x)
      for (let at = fields.length - clockColumns(load).length; at < fields.length; at++) {
        if (fields[at] === '-') continue
        const id = `${load.table} ${fields[at]}`
        if (!clocks.has(id)) clocks.set(id, night)
        fields[at] = String(clocks.get(id))
      }
      return fields.join(';')
    })
    const expected = table.map(held => lineOf(held, load))
    assert.deepEqual(lines.sort(), expected.sort(), `${JSON.stringify(load)} after night ${night}`)
  }
}
