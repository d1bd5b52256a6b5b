import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import type { FlowSpec } from '../../engine/runtime/spec.ts'
import { taskGraph, upstream } from '../../engine/runtime/taskGraph.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { extractsOf, graphOf } from '../../engine/sql/graph.ts'
import { parseQuery } from '../../engine/sql/parse.ts'

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => duck.close())

const sources = (models: ReturnType<typeof model>[]) => ({
  extracts: [{ name: 'source' }],
  models,
  checks: [],
  macros: [],
  loads: [],
})
const model = (name: string, sql: string) => ({ name, file: `${name}.sql`, sql })

/** What a query reads, by shape. */
const READS: [string, string[]][] = [
  ['SELECT * FROM a JOIN b USING (id)', ['a', 'b']],
  ['WITH a AS (SELECT * FROM b) SELECT * FROM a', ['b']],
  ['WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r JOIN a ON true) SELECT * FROM r', ['a']],
  ['SELECT (SELECT max(x) FROM b) FROM a WHERE EXISTS (SELECT 1 FROM c)', ['a', 'b', 'c']],
  ['FROM a SELECT x QUALIFY row_number() OVER () = 1', ['a']],
  ['SELECT unknown_function(x) FROM a ASOF JOIN b ON a.t >= b.t', ['a', 'b']],
  ['SELECT 1', []],
]

for (const [sql, expected] of READS)
  test(`reads of: ${sql}`, async () => {
    assert.deepEqual(
      (await parseQuery(duck, model('m', sql), 'a model')).tables.map(({ name }) => name).sort(),
      expected,
    )
  })

test('models come after what they read', async () => {
  const models = [
    model('c', 'SELECT * FROM b'),
    model('b', 'SELECT * FROM a'),
    model('a', 'SELECT * FROM source'),
  ]
  const { models: ordered } = await graphOf(duck, sources(models))
  assert.deepEqual(
    ordered.map(({ name }) => name),
    ['a', 'b', 'c'],
  )
})

test('a model is kept or computed anew as it asks', async () => {
  const place = { line: 1, column: 1, end: 2, excerpt: '' }
  const models = [
    { ...model('twice', 'SELECT 1 AS x FROM source'), materialised: { kind: 'view' as const, place } },
    { ...model('once', 'SELECT x FROM twice'), materialised: { kind: 'table' as const, place } },
    model('last', 'SELECT x FROM once UNION ALL SELECT x FROM twice'),
    model('usual', 'SELECT x FROM last'),
  ]
  const { models: ordered } = await graphOf(duck, sources(models))
  assert.deepEqual(
    ordered.filter(({ inline }) => inline).map(({ name }) => name),
    ['twice', 'last', 'usual'],
  )
})

/** What gives another answer each time, by the value that a model selects. */
const CHANGING: [string, string[]][] = [
  ["coalesce(getvariable('run_at'), now())", []],
  ["coalesce(getvariable('run_at')::TIMESTAMPTZ::DATE, current_date)", []],
  ["coalesce(ended_at + to_days(getvariable('grace')::INTEGER), now())", ['now']],
  ["coalesce(ended_at, getvariable('run_at'), current_date)", ['current_date']],
  ["coalesce(getvariable('grace'), today())", ['today']],
  ["coalesce(nullif(now(), getvariable('run_at')), ended_at)", ['now']],
  ["coalesce(TRY_CAST(getvariable('run_at') AS DATE), today())", ['today']],
  ['age(ended_at)', ['age']],
  ['ended_at.age()', ['age']],
  ['source.ended_at.age()', ['age']],
  ['main.age(ended_at)', ['age']],
  ['ended_at.age(ended_at)', []],
  ['ago(INTERVAL 1 HOUR)', ['ago']],
  ['current_localtimestamp()', ['current_localtimestamp']],
]

for (const [sql, expected] of CHANGING)
  test(`${expected.length > 0 ? expected.join(', ') : 'nothing'} changes by itself in ${sql}`, async () => {
    const models = [model('m', `SELECT ${sql} AS x FROM source`)]
    const { models: ordered } = await graphOf(duck, { ...sources(models), vars: { grace: 30 } })
    assert.deepEqual(
      ordered[0]!.volatile.map(({ name }) => name),
      expected,
    )
  })

test('what a default of a macro calls is of the macro', async () => {
  const macros = [
    { file: 'a.sql', sql: 'CREATE MACRO gross(x, r := vat()) AS x * (1 + r); CREATE MACRO vat() AS 0.19;' },
    { file: 'b.sql', sql: "CREATE MACRO secs(t, till := now()) AS date_diff('second', t, till)" },
  ]
  const models = [model('m', 'SELECT gross(x) AS g, secs(x) AS s FROM source')]
  const { models: ordered } = await graphOf(duck, { ...sources(models), macros })
  assert.deepEqual(
    ordered[0]!.volatile.map(({ name }) => name),
    ['now'],
  )
  const refusedIn = [{ file: 'c.sql', sql: "CREATE MACRO z(x, r := current_setting('TimeZone')) AS r" }]
  await assert.rejects(
    graphOf(duck, { ...sources([model('m', 'SELECT z(x) FROM source')]), macros: refusedIn }),
  )
})

const refused = (models: ReturnType<typeof model>[], pattern: RegExp) =>
  assert.rejects(graphOf(duck, sources(models)), (error: EngineError) => {
    assert.ok(error instanceof EngineError)
    assert.equal(error.code, 'MODEL_INVALID')
    assert.match(error.message, pattern)
    return true
  })

test('a syntax error names the file and line', () =>
  refused([model('m', 'SELECT 1,\n\nFROM FROM x')], /^m\.sql:3: /))
test('a table that nobody provides is named with its line', () =>
  refused([model('m', 'SELECT *\nFROM sorce')], /^m\.sql:2: reads sorce, which nobody provides/))
test('a circle is shown', () =>
  refused([model('a', 'SELECT * FROM b'), model('b', 'SELECT * FROM a')], /a → b → a/))
test('a file in FROM is refused', () =>
  refused(
    [model('m', "SELECT * FROM '/etc/passwd'")],
    /^m\.sql:1: reads a file; models see extracts and models only/,
  ))
test('anything but one SELECT is refused', () =>
  refused([model('m', 'DROP TABLE x')], /^m\.sql:1: a model is one SELECT, and nothing else/))

test('many paths between two models are no more work than one', { timeout: 20_000 }, async () => {
  // Two of each layer read both of the layer before: 2^100 paths.
  const layers = Array.from({ length: 100 }, (_, layer) =>
    ['a', 'b'].map(side =>
      model(
        `${side}${layer}`,
        layer === 0 ? 'FROM source' : `FROM a${layer - 1} UNION ALL FROM b${layer - 1}`,
      ),
    ),
  )
  const { models } = await graphOf(duck, sources(layers.flat()))
  assert.deepEqual(extractsOf('a99', models), ['source'])
  const load = { table: 'out', to: 'w', from: 'a99', key: ['id'], verify: 'off' }
  const extract = { name: 'source', from: 'legacy' }
  const spec = { extracts: [extract], loads: [load], checks: [], macros: [] } as unknown as FlowSpec
  const tasks = taskGraph(spec, models)
  assert.equal(upstream(tasks, 'load.w').length, 'plan extract types load diff'.split(' ').length + 199)
})

test('where a table stands in its source’s catalogue makes no task another', () => {
  const extract = { name: 'source', from: 'legacy' }
  const catalog = { name: 'shop.source', bare: 'source', schema: 'shop', target: 'source' }
  const prints = [extract, { ...extract, catalog }].map(each => {
    const spec = { extracts: [each], loads: [], checks: [], macros: [] } as unknown as FlowSpec
    return [...taskGraph(spec, [])].map(([name, { fingerprint }]) => `${name} ${fingerprint}`)
  })
  assert.deepEqual(prints[1], prints[0])
})
