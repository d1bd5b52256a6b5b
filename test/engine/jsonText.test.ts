import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { jsonSql } from '../../engine/types/jsonText.ts'

const duck = await Duck.open({ threads: 1 })
after(() => duck.close())

/** A value as DuckDB has it, and as its JSON is read. */
interface Value {
  sql: string
  json: unknown
}
type Made = { type: string; value: fc.Arbitrary<Value> }

const orNull = (value: fc.Arbitrary<Value>) => fc.option(value, { freq: 4, nil: { sql: 'NULL', json: null } })
const double = fc.double().map(n => ({
  sql: `${quote(String(n))}::DOUBLE`,
  json: Number.isFinite(n) ? n + 0 : String(n),
}))
const text = fc.constantFrom('NaN', ',NaN', '[Infinity', '"-Infinity"').map(t => ({ sql: quote(t), json: t }))
const leaf: fc.Arbitrary<Made> = fc.constantFrom(
  { type: 'DOUBLE', value: double },
  { type: 'VARCHAR', value: text },
)
const { made } = fc.letrec<{ made: Made }>(tie => ({
  made: fc.oneof(
    { depthSize: 'small' },
    leaf,
    tie('made').map(({ type, value }) => ({
      type: `${type}[]`,
      value: fc.array(orNull(value), { maxLength: 3 }).map(items => ({
        sql: `[${items.map(({ sql }) => sql).join(', ')}]`,
        json: items.map(({ json }) => json),
      })),
    })),
    fc.tuple(tie('made'), tie('made')).map(([a, b]) => ({
      type: `STRUCT(a ${a.type}, "b ""c" ${b.type})`,
      value: fc.tuple(orNull(a.value), orNull(b.value)).map(([x, y]) => ({
        sql: `struct_pack(a := ${x.sql}, "b ""c" := ${y.sql})`,
        json: { a: x.json, 'b "c': y.json },
      })),
    })),
    tie('made').map(({ type, value }) => ({
      type: `MAP(VARCHAR, ${type})`,
      value: orNull(value).map(({ sql, json }) => ({ sql: `map {'k': ${sql}}`, json: { k: json } })),
    })),
  ),
}))

test('JSON of every nested value is JSON, with floats that are no numbers as text', async () => {
  const some = made.chain(({ type, value }) => orNull(value).map(held => ({ type, ...held })))
  await fc.assert(
    fc.asyncProperty(some, async ({ type, sql, json }) => {
      const [row] = await duck.rows(
        `SELECT ${jsonSql('x', type)}::VARCHAR AS j FROM (SELECT CAST(${sql} AS ${type}) AS x)`,
      )
      const read = row!.j === null ? null : JSON.parse(String(row!.j), (_, v) => (Object.is(v, -0) ? 0 : v))
      assert.deepEqual(read, json)
    }),
    { numRuns: 150 },
  )
})
