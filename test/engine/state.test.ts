import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { PlannedLoad } from '../../engine/contracts/load.ts'
import { State } from '../../engine/diff/state.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { copyFile } from '../../engine/staging/parts.ts'
import { typeFromName } from '../../engine/types/logical.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-state-'))
let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 2 })
})
after(() => {
  duck.close()
  rmSync(root, { recursive: true })
})

const column = (name: string, native: string) => ({
  name,
  type: typeFromName(native)!,
  nullable: true,
  native,
})
const load = {
  table: 't',
  key: ['k', 'part'],
  columns: [column('k', 'BIGINT'), column('part', 'VARCHAR'), column('v', 'INTEGER')],
  partitionBy: [],
  compare: [],
  ignore: [],
} as unknown as PlannedLoad

type Row = [k: number, part: string, v: number]
const row: fc.Arbitrary<Row> = fc.tuple(
  fc.integer({ min: 0, max: 30 }),
  fc.constantFrom('', 'a'),
  fc.integer({ min: 0, max: 2 }),
)

let number = 0
/** A state of rows that lie in two files, in buckets of `limit`. */
async function stateOf(rows: Row[], limit: number): Promise<State> {
  const name = `s${number++}`
  const context = { duck, root, spec: { job: 'j' }, run: name, fence: 1 } as unknown as RunContext
  const sql = (list: Row[]) =>
    `SELECT k::BIGINT AS k, part, v::INTEGER AS v FROM (VALUES (0, '', 0)${list.map(([k, part, v]) => `, (${k}, '${part}', ${v})`).join('')}) t(k, part, v) OFFSET 1`
  const half = rows.length >> 1
  const parts = [
    await copyFile(context, sql(rows.slice(0, half)), `j/${name}/a.parquet`),
    await copyFile(context, sql(rows.slice(half)), `j/${name}/b.parquet`),
  ]
  const state = new State(context, load, { parts }, 'now')
  await state.write(limit)
  return state
}

const entries = async (sql: string) => {
  const found = await duck.rows(`SELECT k, part, _nf_row FROM (${sql}) ORDER BY ALL`)
  return found.map(({ k, part, _nf_row }) => [k, part, _nf_row])
}
const sorted = (list: unknown[][]) => list.map(String).sort()

test('a state has an entry for each row, one a key, in any number of buckets', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      async (rows, limit) => {
        const state = await stateOf(rows, limit)
        const all = rows.map(([k, part], index) => [k, part, index])
        assert.deepEqual(sorted(await entries(state.sql())), sorted(all))
        assert.equal(state.rows, rows.length)
        const best = new Map<string, [number, number]>()
        rows.forEach(([k, part, v], index) => {
          const other = best.get(`${k},${part}`)
          if (!other || v > other[0]) best.set(`${k},${part}`, [v, index])
        })
        const losers = await state.dedupe()
        const [count] = losers ? await duck.rows(`SELECT count(*) AS n FROM (${losers})`) : [{ n: 0 }]
        assert.equal(count!.n, rows.length - best.size)
        const left = await entries(state.sql())
        assert.deepEqual(sorted(left), sorted([...best].map(([key, [, index]]) => [key, index])))
      },
    ),
    { numRuns: 30 },
  )
})

test('two states of different sizes share their buckets, and one goes on with the entries of the other', async () => {
  const keys = fc.uniqueArray(row, { selector: ([k, part]) => `${k},${part}`, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(keys, keys, keys, async (was, now, held) => {
      const [last, next] = [await stateOf(was, 3), await stateOf(now, 11)]
      const size = Math.min(last.buckets.length, next.buckets.length)
      const met: unknown[][] = []
      for (let index = 0; index < size; index++)
        met.push(
          ...(await entries(
            `SELECT n.k, n.part, n._nf_row FROM (${next.sql(index, size)}) n JOIN (${last.sql(index, size)}) l USING (k, part)`,
          )),
        )
      const name = ([k, part]: Row) => `${k},${part}`
      const known = new Set(was.map(name))
      const expected = now.flatMap((each, index) =>
        known.has(name(each)) ? [[each[0], each[1], index]] : [],
      )
      assert.deepEqual(sorted(met), sorted(expected))

      const own = new Map(now.map((each, index) => [name(each), index]))
      for (const each of was) if (!own.has(name(each))) own.set(name(each), -1)
      await next.carryForward(last)
      assert.deepEqual(
        sorted(await entries(next.sql())),
        sorted([...own].map(([key, index]) => [key, index])),
      )

      for (const each of held) if (!own.has(name(each))) own.set(name(each), -1)
      const list = held.map(([k, part]) => `, (${k}, '${part}')`).join('')
      await next.addUnknownKeys(
        `SELECT k::BIGINT AS k, part FROM (VALUES (0, '')${list}) t(k, part) OFFSET 1`,
      )
      assert.deepEqual(
        sorted(await entries(next.sql())),
        sorted([...own].map(([key, index]) => [key, index])),
      )
    }),
    { numRuns: 20 },
  )
})

test('a state is taken as it lies where the files hold the same bytes, and nowhere else', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(row, { minLength: 2, maxLength: 20, selector: ([k, part]) => `${k} ${part}` }),
      fc.nat(),
      fc.constantFrom('same', 'value', 'order', 'fewer'),
      async (rows, at, how) => {
        const last = await stateOf(rows, 1000)
        const others = rows.map(
          ([k, part, v], index): Row =>
            how === 'value' && index === at % rows.length ? [k, part, v + 1] : [k, part, v],
        )
        if (how === 'order') others.reverse()
        if (how === 'fewer') others.pop()
        const now = await stateOf(others, 1000)
        const own = await entries(now.sql())
        assert.equal(await now.takeOver(last), how === 'same')
        assert.deepEqual(await entries(now.sql()), own)
      },
    ),
    { numRuns: 30 },
  )
})
