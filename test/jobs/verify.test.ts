import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { ids, kinds, query } from './alterable.ts'

for (const kind of kinds)
  describe(kind.name, () => {
    test('values of every type are equal; each altered one is found by range and key', async () => {
      const table = `types_${kind.name}`
      await ids(table, 128)
      const job = await kind.job(table, kind.types)
      const first = await job.run()
      assert.equal(first.error, undefined, String(first.error))
      assert.deepEqual(
        first.outcome.verifications.map(({ rows, equal, notes }) => ({ rows, equal, notes })),
        [{ rows: 128, equal: 128, notes: [] }],
      )
      assert.deepEqual((await job.verify()).loads[0]!.differing, [])
      await kind.alter(job, `CREATE TABLE kept AS SELECT * FROM ${table}_loaded`)
      // Row 1, 9, 17 … has a value in every column: each column is altered in one of them.
      const columns = Object.entries(kind.altered).map(([column, value], index) => ({
        column,
        value,
        id: index * 8 + 1,
      }))
      for (let from = 0; from < columns.length; from += 5) {
        const batch = columns.slice(from, from + 5)
        for (const { column, value, id } of batch)
          await kind.alter(job, `UPDATE ${table}_loaded SET ${column} = ${value} WHERE id = ${id}`)
        const [verification] = (await job.verify()).loads
        const named = batch.map(({ id }) => [`id = ${id} differs`])
        assert.deepEqual(
          verification!.differing.map(({ samples }) => samples),
          named,
        )
        assert.match(verification!.differing[0]!.range, /^id \d+ to \d+$/)
        await kind.alter(job, `DELETE FROM ${table}_loaded`)
        await kind.alter(job, `INSERT INTO ${table}_loaded SELECT * FROM kept`)
      }
      // NULL is not the empty text, and minus zero is not zero (which DuckDB would not write over it).
      await kind.alter(job, `UPDATE ${table}_loaded SET txt = NULL WHERE id = 1`)
      await kind.alter(job, `UPDATE ${table}_loaded SET dbl = 1 WHERE id = 2`)
      await kind.alter(job, `UPDATE ${table}_loaded SET dbl = 0 WHERE id = 2`)
      const samples = (await job.verify()).loads[0]!.differing.flatMap(range => range.samples)
      assert.deepEqual(samples, [
        'id = 1 differs',
        ...(/mysql|duckdb/.test(kind.name) ? [] : ['id = 2 differs']),
      ])
      await kind.alter(job, 'DROP TABLE kept')
    })

    test('missing and strange rows; what a load leaves alone is not compared', async () => {
      const table = `gaps_${kind.name}`
      await ids(table, 200)
      const model = `SELECT id, 'a' AS a, 'made' AS made FROM ids`
      const job = await kind.job(table, model, ', insert_only: made, stamp: at, verify: all')
      const first = await job.run()
      assert.equal(first.error, undefined, String(first.error))
      assert.match(first.outcome.verifications[0]!.notes[0]!, /^column made is not compared/)
      await kind.alter(job, `UPDATE ${table}_loaded SET made = 'x'`)
      await kind.alter(job, `DELETE FROM ${table}_loaded WHERE id = 150`)
      await kind.alter(job, `INSERT INTO ${table}_loaded (id, a) VALUES (1000, 'a')`)
      const verified = await job.cli('verify', job.folder)
      assert.equal(verified.code, 3, verified.err)
      assert.match(verified.out, /DIFFERS .*: 1 of 64 ranges differ/)
      assert.match(verified.out, /id 150 to 152: 1 row: id = 150 is missing/)
      const json = JSON.parse((await job.cli('verify', job.folder, '--json')).out.trim()) as {
        equal: boolean
        loads: { others: number; rows: number }[]
      }
      assert.deepEqual([json.equal, json.loads[0]!.others, json.loads[0]!.rows], [false, 1, 200])
      await kind.alter(job, `INSERT INTO ${table}_loaded (id, a) VALUES (150, 'a')`)
      const equal = await job.cli('verify', job.folder)
      assert.equal(equal.code, 0, equal.out)
      assert.match(equal.out, /equal .*: 200 rows equal in 64 ranges \(1 in the target only\)/)
    })
  })

test('verify: off compares nothing', async () => {
  const table = 'off_proof'
  await ids(table, 5)
  const job = await kinds[0]!.job(table, 'SELECT id FROM ids', ', verify: off')
  const { outcome, error } = await job.run()
  assert.equal(error, undefined)
  assert.deepEqual(outcome.verifications, [])
})

test('verify before anything was loaded says what to do', async () => {
  const table = 'none_proof'
  await ids(table, 5)
  const job = await kinds[0]!.job(table, 'SELECT id FROM ids')
  await assert.rejects(job.verify(), (error: EngineError) => {
    assert.deepEqual(
      [error.code, error.message],
      ['NOT_STAGED', `to.${table}_loaded: nothing was loaded yet`],
    )
    return true
  })
})

for (const kind of kinds)
  for (const [mode, settings] of Object.entries({
    hard: 'deletes: hard',
    soft: 'deletes: soft',
    replace: 'mode: replace',
    scd2: 'mode: scd2, deletes: hard, newer: age',
    partition: 'mode: partition, partition_by: age',
  })) {
    test(`${kind.name}, ${mode}: rows that go, come and change are proven`, async () => {
      const table = `modes_${kind.name}_${mode}`
      await query(
        `CREATE TABLE ${table} AS SELECT i AS id, 'a' AS label, 1 AS age FROM generate_series(1, 20) AS i`,
      )
      const cast = mode === 'scd2' ? `TIMESTAMP '2026-01-01' + INTERVAL (age) DAY AS age` : 'age'
      const guard = ', guard: { max_delete_share: 1 }'
      const job = await kind.job(table, `SELECT id, label, ${cast} FROM ids`, `, ${settings}${guard}`)
      const night = async (sql: string) => {
        await query(sql)
        const { outcome, error } = await job.run()
        assert.equal(error, undefined, `${error} ${(error as EngineError | undefined)?.hint}`)
        return outcome.verifications[0]!
      }
      await night('SELECT 1')
      await night(`DELETE FROM ${table} WHERE id = 3; UPDATE ${table} SET label = 'b', age = 2 WHERE id = 4`)
      await night(`INSERT INTO ${table} VALUES (3, 'back', 3), (21, 'new', 3)`)
      const [last] = (await job.verify()).loads
      assert.deepEqual([last!.equal, last!.wrong.rows], [21, 0])
    })
  }
