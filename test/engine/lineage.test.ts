/**
 * What lineage says of a query is compared with what DuckDB does: without a column that it says is unused, the query gives
 * the same; without one that it says is used, it fails or gives something else. And other values in a column change only
 * the columns that it says are made of it, unless it decides about rows.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { lineageOf, type TableLineage } from '../../engine/lineage/job.ts'
import { partsOf, type Refs, ref, union } from '../../engine/lineage/refs.ts'
import { bindJob } from '../../engine/sql/bind.ts'
import { Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { graphOf } from '../../engine/sql/graph.ts'

/** Type and value, of row n, of each column. */
const TABLES: Record<string, Record<string, [string, string]>> = {
  t: {
    id: ['INTEGER', 'n'],
    a: ['INTEGER', 'n * 7 % 5'],
    b: ['INTEGER', 'n * 3 % 11'],
    c: ['VARCHAR', "['red', 'green', 'blue'][1 + n % 3]"],
    d: ['DATE', "DATE '2026-01-01' + n::INTEGER"],
    s: ['STRUCT(f INTEGER, g VARCHAR)', "{'f': n * 5 % 7, 'g': 'g' || n % 4}"],
    l: ['INTEGER[]', '[n % 3, n % 5]'],
  },
  u: {
    id: ['INTEGER', 'n + n % 2'],
    k: ['INTEGER', 'n % 5'],
    x: ['INTEGER', 'n * 13 % 17'],
    y: ['VARCHAR', "'y' || n % 6"],
    d: ['DATE', "DATE '2026-01-01' + (2 * n)::INTEGER"],
  },
  v: { a: ['INTEGER', 'n'], b: ['INTEGER', 'n % 4'], z: ['INTEGER', 'n * n % 10'] },
}
const ROWS = 12

const MACROS = [
  'CREATE MACRO twice(p) AS p * 2',
  'CREATE MACRO either(p, q, unused := 1) AS coalesce(p, q)',
  'CREATE MACRO over(p) AS p, (p, q) AS p + q',
  'CREATE MACRO above(least) AS TABLE SELECT id, a AS amount, b FROM t WHERE a > least',
  'CREATE MACRO best(p) AS (SELECT max(x) FROM u WHERE u.k = p)',
  'CREATE MACRO most(p) AS max(twice(p))',
]

const QUERIES = [
  'SELECT id, a + b AS n FROM t',
  'SELECT * FROM t',
  'FROM t',
  "SELECT id FROM t WHERE c = 'red'",
  'SELECT t.id, u.x FROM t JOIN u ON t.id = u.id',
  'SELECT id, x, b FROM t JOIN u USING (id)',
  'SELECT * FROM t JOIN v USING (a, b)',
  'SELECT * FROM v NATURAL JOIN t',
  'SELECT t.id, y FROM t NATURAL JOIN u',
  'SELECT u.id AS i, t.c FROM t RIGHT JOIN u USING (id)',
  'SELECT id, y FROM t FULL JOIN u USING (id)',
  'SELECT id, a FROM t SEMI JOIN u ON u.k = t.a AND u.x > 5',
  'SELECT id FROM t ANTI JOIN u USING (id)',
  'SELECT t.id, u.x FROM t ASOF JOIN u ON t.d >= u.d',
  'SELECT t.a, u.k FROM t POSITIONAL JOIN u',
  'SELECT c, sum(a) AS total FROM t GROUP BY c HAVING count(DISTINCT b) > 2',
  'SELECT c, a % 2 AS odd, count(*) AS n FROM t GROUP BY ALL',
  'SELECT c, avg(b) FILTER (WHERE a > 1) AS m FROM t GROUP BY 1 ORDER BY 2',
  'SELECT c, list(b ORDER BY d) AS bs FROM t GROUP BY ROLLUP (c)',
  'SELECT count(*) AS n FROM t WHERE a > 1',
  'SELECT id, row_number() OVER (PARTITION BY c ORDER BY d DESC) AS r FROM t',
  'SELECT id, a FROM t QUALIFY row_number() OVER (PARTITION BY c ORDER BY b, id) = 1',
  'SELECT id, sum(a) OVER w AS s, max(b) OVER w AS m FROM t WINDOW w AS (PARTITION BY c ORDER BY id)',
  'SELECT DISTINCT a, c FROM t',
  'SELECT DISTINCT ON (c) c, a FROM t ORDER BY b, id',
  'SELECT id FROM t ORDER BY b, id LIMIT 3',
  'SELECT id FROM t ORDER BY b, id',
  'SELECT list(id) AS ids FROM (SELECT id FROM t ORDER BY b, id)',
  'WITH p AS (SELECT id, a, b FROM t), q AS (SELECT id, a FROM p WHERE a > 1) SELECT id FROM q',
  'WITH p AS (SELECT * FROM t) SELECT id, c FROM p',
  'WITH p(i, j) AS (SELECT id, a FROM t) SELECT j FROM p',
  'WITH t AS (SELECT id AS a FROM u) SELECT a FROM t',
  'WITH RECURSIVE r AS (SELECT id, a FROM t WHERE id < 2 UNION ALL SELECT u.id, r.a + u.x FROM r JOIN u ON u.k = r.id AND u.id > r.id) SELECT * FROM r',
  'WITH RECURSIVE r(n) AS (SELECT min(k) FROM u UNION SELECT n + 1 FROM r WHERE n < 4) SELECT n FROM r',
  'SELECT id FROM (SELECT id, a + b AS s, c FROM t) WHERE s > 6',
  'SELECT x.n FROM (SELECT id AS n, a FROM t) AS x',
  'SELECT p FROM (SELECT id, a FROM t) AS x(p, q)',
  'SELECT id, (SELECT max(x) FROM u WHERE u.k = t.a) AS best FROM t',
  'SELECT id FROM t WHERE EXISTS (SELECT y FROM u WHERE u.id = t.id)',
  'SELECT id, a IN (SELECT k FROM u WHERE x > 8) AS there FROM t',
  'SELECT id, b > ALL (SELECT z FROM v WHERE v.a < 3) AS above FROM t',
  'SELECT t.id, j.x FROM t, LATERAL (SELECT x FROM u WHERE u.k = t.a) AS j',
  'SELECT a, b FROM t UNION ALL SELECT k, x FROM u',
  'SELECT a FROM t UNION SELECT k FROM u',
  'SELECT a, b FROM t EXCEPT SELECT k, x FROM u',
  'SELECT a FROM t INTERSECT SELECT k FROM u',
  'SELECT id, a FROM t UNION ALL BY NAME SELECT id, x FROM u',
  'SELECT p FROM (SELECT a AS p, b AS q FROM v UNION ALL SELECT id, k FROM u)',
  'SELECT a FROM (SELECT * FROM v UNION ALL SELECT id, k, x FROM u)',
  'SELECT * EXCLUDE (a, l) FROM t',
  'SELECT * REPLACE (upper(c) AS c) FROM t',
  'SELECT * RENAME (a AS alpha) FROM v',
  'SELECT t.*, u.x FROM t JOIN u ON u.id = t.id',
  "SELECT id, COLUMNS('^[ab]$') FROM t",
  'SELECT min(COLUMNS(*)) FROM v',
  "SELECT COLUMNS(c -> c LIKE 'a%') FROM v",
  "SELECT * LIKE '%a' FROM v",
  "SELECT COLUMNS(['a', 'z']) + 1 FROM v",
  "SELECT any_value(COLUMNS('^z')) AS one FROM v",
  'SELECT id, struct_pack(*COLUMNS(v.*)) AS packed FROM u JOIN v ON v.a = u.id',
  'SELECT id, s.f AS f, t.s.g AS g FROM t',
  'SELECT id, s.* FROM t',
  'SELECT v AS whole FROM v',
  'SELECT (v).z AS z FROM v',
  'SELECT id, unnest(l) AS e FROM t',
  'SELECT id, unnest(s) FROM t',
  'SELECT t.id, e FROM t, unnest(t.l) AS w(e)',
  'SELECT id, i FROM t, range(t.a) AS r(i)',
  'SELECT id, list_transform(l, x -> x + a) AS more FROM t',
  'SELECT id, list_filter(l, lambda x, i: x > b - i) AS some FROM t',
  'SELECT id, [e * b FOR e IN l IF e > 1] AS made FROM t',
  'SELECT id, CASE WHEN a > 2 THEN c ELSE d::VARCHAR END AS w FROM t',
  'SELECT id, a AS p, p + 1 AS q FROM t WHERE q > 2',
  'SELECT a AS b, b AS q FROM v',
  'SELECT sum(a) AS a FROM t GROUP BY c ORDER BY a',
  'SELECT id, twice(a) AS n FROM t',
  'SELECT id, either(a, b, unused := c) AS n FROM t',
  'SELECT id, over(a) AS one, over(a, b) AS two FROM t',
  'SELECT id, best(a) AS n FROM t',
  'SELECT c, most(b) AS m FROM t GROUP BY ALL',
  'SELECT amount FROM above(1)',
  'SELECT * FROM above(2) JOIN u USING (id)',
  "PIVOT (SELECT c, a, b FROM t) ON c IN ('red', 'blue') USING sum(b) GROUP BY a",
  "FROM (PIVOT t ON c IN ('red', 'blue') USING sum(b) GROUP BY a) SELECT a, red",
  'UNPIVOT v ON a, b INTO NAME n VALUE w',
  'SELECT n, w FROM (UNPIVOT v ON COLUMNS(* EXCLUDE (z)) INTO NAME n VALUE w)',
  'SELECT w.p, t.c FROM t JOIN (VALUES (1, 2), (3, 4)) AS w(p, q) ON t.a = w.q',
  "SELECT y, x FROM u WHERE d BETWEEN DATE '2026-01-05' AND DATE '2026-01-15'",
  'SELECT k, first(x ORDER BY id) AS f, arg_max(y, x) AS m FROM u GROUP BY k',
  'SELECT id FROM t WHERE (a, b) IN (SELECT k, x FROM u)',
  'SELECT #1 AS one FROM v',
  'SELECT t.c, count(DISTINCT u.id) AS n FROM t LEFT JOIN u ON u.k = t.a GROUP BY t.c',
  'SELECT ID AS i, "A" AS n FROM T WHERE B > 3',
  'SELECT id, x FROM (SELECT * FROM t JOIN u USING (id)) ORDER BY y LIMIT 4',
  'SELECT id_1 FROM (SELECT * FROM t JOIN u ON t.a = u.k)',
  'SELECT grouping(c) AS g, c, count(*) AS n FROM t GROUP BY CUBE (c)',
  'SELECT * FROM (VALUES (1, 2)) AS w(p, q), (SELECT max(a) AS m FROM t) AS x',
  'WITH p AS MATERIALIZED (SELECT id, a FROM t), q AS (WITH p AS (SELECT x AS a FROM u) SELECT a FROM p) SELECT p.id, q.a FROM p, q',
  '(SELECT a, b FROM t) UNION ALL (SELECT k, x FROM u ORDER BY y LIMIT 2) ORDER BY 1 LIMIT 9',
  'SELECT COLUMNS(*)::VARCHAR FROM v',
  "SELECT COLUMNS('^a|^z') FROM v JOIN u ON u.id = v.b",
  'SELECT c, a, sum(b) AS s FROM t GROUP BY GROUPING SETS ((c), (a), ()) ORDER BY ALL',
  'SELECT v.* EXCLUDE (v.z), u.* RENAME (x AS ex) FROM v JOIN u ON u.k = v.b',
  'SELECT id, (SELECT sum(w.x) FROM (SELECT x FROM u WHERE u.k = t.a) AS w) AS n FROM t',
  "SELECT TRY(b // (a + 1)) AS q, id FROM t WHERE (d, id) > (DATE '2026-01-03', 2)",
  'SELECT t.id, u.y FROM t ASOF LEFT JOIN u ON t.a = u.k AND t.d >= u.d',
  'TABLE v',
  'SELECT p FROM (SELECT v.a AS p, u.* FROM v JOIN u ON u.id = v.a) WHERE k > 0',
  "SELECT c, string_agg(b::VARCHAR, ',' ORDER BY b) OVER (PARTITION BY a) AS bs FROM t",
  'SELECT id FROM t WHERE a = (SELECT min(b) FROM v) OR NOT EXISTS (FROM u WHERE u.id = t.id AND u.x > 3)',
  'SELECT either(q := b, p := a) AS n FROM t',
  'SELECT column_name AS n, min AS m FROM (SUMMARIZE v)',
]

/** Other values in a column. */
const CHANGES: Record<string, string[]> = {
  INTEGER: ['(c + 3) % 7', 'CASE WHEN rowid % 3 = 0 THEN NULL ELSE c END', '20 - c'],
  VARCHAR: ["'new' || rowid % 2", 'NULL'],
  DATE: ["DATE '2026-01-20' - (rowid * 3 % 8)::INTEGER", 'NULL'],
  'STRUCT(f INTEGER, g VARCHAR)': ["{'f': 20 - rowid::INTEGER, 'g': 'h' || rowid % 3}"],
  'INTEGER[]': ['[rowid::INTEGER % 4]', '[rowid::INTEGER, 7, 1]'],
}

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1, folders: [] })
  for (const name of Object.keys(TABLES)) await make(name)
  for (const macro of MACROS) await duck.run(macro)
})
after(() => duck.close())
beforeEach(async () => {
  for (const name of Object.keys(TABLES)) await use(name, 'whole')
})

const list = (names: string[]) => names.map(quoteName).join(', ')

/** Each table as it is, without each of its columns, and with other values in each. */
async function make(table: string): Promise<void> {
  const own = Object.entries(TABLES[table]!)
  const made = own.map(([name, [type, value]]) => `(${value})::${type} AS ${quoteName(name)}`)
  const names = own.map(([name]) => name)
  const source = `(SELECT ${made.join(', ')}, n AS rowid FROM range(${ROWS}) AS r(n))`
  await duck.run(`CREATE TABLE ${table}__whole AS SELECT ${list(names)} FROM ${source}`)
  for (const [column, [type]] of own) {
    const others = names.filter(name => name !== column)
    await duck.run(`CREATE TABLE ${table}__without_${column} AS SELECT ${list(others)} FROM ${source}`)
    for (const [index, change] of CHANGES[type]!.entries()) {
      const value = `(${change.replaceAll(/\bc\b/g, quoteName(column))})::${type}`
      await duck.run(
        `CREATE TABLE ${table}__${column}_${index} AS SELECT ${list(names)} FROM
         (SELECT * REPLACE (${value} AS ${quoteName(column)}) FROM ${source})`,
      )
    }
  }
  await use(table, 'whole')
}

const use = (table: string, version: string) =>
  duck.run(`CREATE OR REPLACE VIEW ${table} AS FROM ${table}__${version}`)

type Result = { columns: string[]; values: string[][]; rows: string[] } | { error: string }

/** What the query gives: its rows in no order, and the values of each column in no order. */
async function given(sql: string): Promise<Result> {
  try {
    const found = await duck.rows(`SELECT to_json(_row)::VARCHAR AS row FROM (${sql}) AS _row`)
    const rows = found.map(({ row }) => JSON.parse(String(row)) as Record<string, unknown>)
    const columns = Object.keys(rows[0]!)
    const sorted = (values: unknown[]) => values.map(value => JSON.stringify(value)).sort()
    return { columns, values: columns.map(name => sorted(rows.map(row => row[name]))), rows: sorted(rows) }
  } catch (error) {
    return { error: String(error) }
  }
}

async function lineage(sql: string): Promise<{ table: TableLineage; reads: string[] }> {
  const sources = {
    extracts: Object.keys(TABLES).map(name => ({ name })),
    models: [{ name: 'm', file: 'm.sql', sql }],
    checks: [],
    macros: MACROS.map((sql, index) => ({ file: `macros/${index}.sql`, sql })),
    loads: [{ from: 'm' }],
  }
  const graph = await graphOf(duck, sources)
  const known = new Map(
    Object.entries(TABLES).map(([name, columns]) => [
      name,
      Object.entries(columns).map(([column, [type]]) => ({ name: column, type })),
    ]),
  )
  const bound = await bindJob(graph, known)
  assert.deepEqual(bound.faults, [])
  const { tables } = await lineageOf(duck, graph, Object.keys(TABLES), bound.columns)
  return { table: tables.get('m')!, reads: graph.models.find(({ name }) => name === 'm')!.reads }
}

const shown = (refs: Refs) => [...refs].map(each => Object.values(partsOf(each)).join('.')).sort()

for (const sql of QUERIES)
  test(`lineage of: ${sql}`, async () => {
    const { table, reads } = await lineage(sql)
    const { columns, rows, mentions, unsure } = table
    assert.equal(unsure, undefined)
    const whole = await given(sql)
    assert.ok('rows' in whole, JSON.stringify(whole))
    assert.deepEqual(
      columns.map(({ name }) => name),
      whole.columns,
    )
    const used = union(rows, new Set(mentions.keys()), ...columns.map(({ from }) => from))
    for (const [table, own] of Object.entries(TABLES)) {
      if (!reads.includes(table)) continue
      for (const [column, [type]] of Object.entries(own)) {
        const each = ref(table, column)
        await use(table, `without_${column}`)
        const without = await given(sql)
        if (!used.has(each)) {
          assert.deepEqual(without, whole, `${table}.${column} is said to be unused`)
          continue
        }
        assert.notDeepEqual(without, whole, `${table}.${column} is said to be used`)
        if (rows.has(each) || columns.every(({ from }) => from.has(each))) continue
        for (const version of CHANGES[type]!.keys()) {
          await use(table, `${column}_${version}`)
          const after = await given(sql)
          if ('error' in after) continue
          assert.equal(after.rows.length, whole.rows.length, `${table}.${column} decides about rows`)
          for (const [index, { name, from }] of columns.entries())
            if (!from.has(each))
              assert.deepEqual(
                after.values[index],
                whole.values[index],
                `${name} is made of ${table}.${column}, too; said: ${shown(from)}, rows by ${shown(rows)}`,
              )
        }
      }
      await use(table, 'whole')
    }
  })
