import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const { url, query } = await freshPostgres()

interface Row {
  id: number | null
  amount: number
  note: string | null
}

const row = fc.record(
  {
    id: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null, freq: 9 }),
    amount: fc.integer({ min: -1, max: 3 }),
    note: fc.constantFrom(null, '', 'a'),
  },
  { noNullPrototype: true },
)
/** Nights of a source that knows no key: rows repeated, without a key, negative. */
const nights = fc.array(fc.array(row, { maxLength: 9 }), { minLength: 2, maxLength: 4 })

/** The rows that a target holds after a night: the greatest of each key; rejected rows leave what was there. */
function expected(was: Map<number, Row>, now: Row[], rejects: (row: Row) => boolean): Map<number, Row> {
  const held = new Map<number, Row>()
  const order = ({ amount, note }: Row) => [amount, note === null ? -1 : note.length] as const
  for (const row of now) {
    if (row.id === null) continue
    const other = held.get(row.id)
    if (rejects(row)) continue
    const [a, b] = order(row)
    const [c, d] = other ? order(other) : [Number.NEGATIVE_INFINITY, 0]
    if (a > c || (a === c && b > d)) held.set(row.id, row)
  }
  for (const { id } of now) if (id !== null && !held.has(id) && was.has(id)) held.set(id, was.get(id)!)
  return held
}

test('night after night a target holds the good rows of its source, one a key, copied or through a model', async () => {
  const job = await smallJob({ after }, 'nights', {
    'job.yaml': `connections: { here: "${url}" }
extract: { moves: { from: here, table: moves } }
load:
  copied: { to: here, from: moves, key: id, on_duplicate: newest, deletes: hard, verify: all, guard: { max_delete_share: 1, allow_empty: true } }
  checked: { to: here, from: model, key: id, on_duplicate: newest, deletes: hard, verify: all, guard: { max_delete_share: 1, allow_empty: true } }
quality: { max_error_rate: 1 }
resources: { memory: 400MB, threads: 1 }
`,
    'model.sql': 'SELECT * FROM moves',
  })
  mkdirSync(join(job.folder, 'checks', 'model'), { recursive: true })
  writeFileSync(
    join(job.folder, 'checks', 'model', 'positive.sql'),
    `SELECT id, amount, note, 'negative' AS reason FROM model WHERE amount < 0`,
  )
  await query('CREATE TABLE moves (id bigint, amount bigint, note text)')
  let copied = new Map<number, Row>()
  let checked = new Map<number, Row>()
  await fc.assert(
    fc.asyncProperty(nights, async list => {
      for (const rows of list) {
        await query('TRUNCATE moves')
        for (const { id, amount, note } of rows)
          await query(`INSERT INTO moves VALUES (${id}, ${amount}, ${note === null ? 'NULL' : `'${note}'`})`)
        const result = await job.run()
        assert.notEqual(result.status, 'FAILED', String(result.error))
        copied = expected(copied, rows, () => false)
        checked = expected(checked, rows, ({ amount }) => amount < 0)
        for (const [table, held] of Object.entries({ copied, checked }))
          assert.deepEqual(
            await query(`SELECT id::int, amount::int, note FROM ${table} ORDER BY id`),
            [...held.values()].sort((a, b) => a.id! - b.id!),
            table,
          )
      }
    }),
    // A night depends on those before it: a smaller example would be another one.
    { numRuns: 4, endOnFailure: true },
  )
})
