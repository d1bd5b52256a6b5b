import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { EngineError } from '../../engine/errors.ts'
import { bucketKeyFault, bucketSql } from '../../engine/sql/buckets.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { graphOf, parseJob } from '../../engine/sql/graph.ts'
import { CHANGED_KEYS, changedSql } from '../../engine/transform/changedKeys.ts'

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => duck.close())

const place = { line: 1, column: 1, end: 2, excerpt: '' }
const COUNT = 3
const buckets = {
  count: COUNT,
  keys: [
    { table: 'members', column: 'id' },
    { table: 'payments', column: 'Member_id' },
  ],
  place,
}
const MACROS = `
  CREATE MACRO cleaned(x) AS coalesce(trim(x), '-');
  CREATE MACRO total(x) AS sum(x);
  CREATE MACRO running(x) AS sum(x) OVER ();
  CREATE MACRO of_all() AS (SELECT count(*) FROM members);
  CREATE MACRO outer_total(x) AS total(x);`

const graph = (sql: string, asked = buckets) =>
  graphOf(duck, {
    extracts: ['members', 'payments', 'states'].map(name => ({ name })),
    models: [{ name: 'm', file: 'm.sql', sql, buckets: asked }],
    checks: [],
    macros: [{ file: '../macros/m.sql', sql: MACROS }],
    loads: [{ from: 'm' }],
  })

/** The column by which the same query may be incremental; undefined where it may not. */
async function keyedOf(sql: string): Promise<string | undefined> {
  const materialised = { kind: 'incremental' as const, keys: buckets.keys, place }
  const { graph } = await parseJob(duck, {
    extracts: ['members', 'payments', 'states'].map(name => ({ name })),
    models: [{ name: 'm', file: 'm.sql', sql, materialised }],
    checks: [],
    macros: [{ file: '../macros/m.sql', sql: MACROS }],
    loads: [{ from: 'm' }],
  })
  return graph.models.find(({ name }) => name === 'm')?.keyed
}

/** What is made in buckets, and gives what the whole query gives. */
const ALIKE = [
  'SELECT * FROM members JOIN payments ON members.id = payments.member_id',
  'SELECT m.id, sum(amount) AS total FROM members m LEFT JOIN payments p ON p.member_id = m.id AND p.amount > 1 GROUP BY m.id',
  'SELECT state, m.id, count(p.amount) AS n FROM members m LEFT JOIN payments p ON m.id = p.member_id GROUP BY 1, 2',
  'SELECT m.id, max(amount) AS top FROM payments p RIGHT JOIN members m ON m.id = p.member_id GROUP BY ALL',
  'SELECT m.id, p.member_id, p.amount FROM members m FULL JOIN payments p ON m.id = p.member_id',
  'SELECT m.*, s.name FROM members m JOIN states s ON s.state = m.state JOIN payments p ON p.member_id = m.id',
  'SELECT p.amount, s.name FROM states s, members m, payments p WHERE m.state = s.state AND m.id = p.member_id UNION ALL SELECT amount, NULL FROM payments JOIN members ON id = member_id',
  'WITH p AS (SELECT member_id, sum(amount) AS paid FROM payments GROUP BY member_id) SELECT m.id, p.paid FROM members m LEFT JOIN p ON p.member_id = m.id',
  'WITH p AS (SELECT member_id AS id, sum(amount) AS paid FROM payments GROUP BY member_id) SELECT id, paid FROM members FULL JOIN p USING (id)',
  'SELECT m.id, row_number() OVER (PARTITION BY m.id, state ORDER BY amount, paid_at) AS n FROM members m JOIN payments p ON m.id = p.member_id',
  'SELECT m.id, sum(amount) OVER w AS n FROM members m JOIN payments p ON m.id = p.member_id WINDOW w AS (PARTITION BY m.id)',
  'SELECT m.id FROM members m JOIN payments p ON m.id = p.member_id QUALIFY row_number() OVER (PARTITION BY p.member_id ORDER BY amount, paid_at) = 1',
  'SELECT DISTINCT m.id, state FROM members m JOIN payments p ON m.id = p.member_id',
  'SELECT DISTINCT ON (m.id) m.id FROM members m JOIN payments p ON m.id = p.member_id',
  'SELECT m.* FROM members m SEMI JOIN payments p ON m.id = p.member_id',
  'SELECT m.* FROM members m ANTI JOIN payments p ON m.id = p.member_id',
  'SELECT id FROM members UNION SELECT member_id FROM payments',
  'SELECT id FROM members EXCEPT SELECT member_id FROM payments',
  'SELECT id FROM members INTERSECT ALL SELECT member_id FROM payments',
  'SELECT id, state FROM members UNION ALL SELECT member_id, NULL FROM payments',
  'SELECT id AS member_id, state FROM members UNION BY NAME SELECT amount, member_id FROM payments',
  'SELECT m.id, cleaned(m.state) AS state FROM members m JOIN payments p ON m.id = p.member_id',
  'SELECT m.id, (SELECT max(name) FROM states s WHERE s.state = m.state) AS name FROM members m JOIN payments p ON m.id = p.member_id',
  'SELECT m.id FROM members m JOIN payments p ON m.id IS NOT DISTINCT FROM p.member_id',
  'SELECT x.id, count(*) AS n FROM (SELECT * FROM members) x JOIN (SELECT * EXCLUDE (amount) FROM payments) y ON x.id = y.member_id GROUP BY GROUPING SETS ((x.id), (x.id, state))',
  'SELECT m.id, u.n FROM members m JOIN payments p ON m.id = p.member_id, unnest([1, 2]) u(n)',
  'SELECT m.id, p.amount FROM members m ASOF JOIN payments p ON m.id = p.member_id AND m.since >= p.paid_at',
  'SELECT m.id, l.n FROM members m JOIN payments p ON p.member_id = m.id, LATERAL (SELECT count(*) AS n FROM states s WHERE s.state = m.state) l ORDER BY 1',
  'FROM members JOIN payments ON id = member_id SELECT id, count(*) AS n GROUP BY id HAVING count(*) > 1',
]

/** What is refused, and why. */
const REFUSED: [string, RegExp][] = [
  [
    'SELECT state, count(*) FROM members m JOIN payments p ON m.id = p.member_id GROUP BY state',
    /GROUP BY does not contain the key/,
  ],
  ['SELECT count(*) FROM members m JOIN payments p ON m.id = p.member_id', /over all rows/],
  ['SELECT total(amount) FROM members m JOIN payments p ON m.id = p.member_id', /macro total/],
  ['SELECT outer_total(amount) FROM members m JOIN payments p ON m.id = p.member_id', /macro outer_total/],
  ['SELECT m.id, running(amount) FROM members m JOIN payments p ON m.id = p.member_id', /macro running/],
  ['SELECT m.id, of_all() FROM members m JOIN payments p ON m.id = p.member_id', /macro of_all/],
  ['SELECT * FROM members m JOIN payments p ON m.state = p.note', /does not compare their keys/],
  ['SELECT * FROM members m JOIN payments p ON m.id = p.member_id OR true', /does not compare their keys/],
  ['SELECT * FROM members, payments', /does not compare their keys/],
  ['SELECT m.id FROM members m LEFT JOIN payments p ON true WHERE m.id = p.member_id', /does not compare/],
  ['SELECT * FROM members NATURAL JOIN payments', /NATURAL/],
  ['SELECT * FROM members POSITIONAL JOIN payments', /POSITIONAL/],
  [
    'SELECT s.name FROM states s LEFT JOIN members m ON m.state = s.state JOIN payments p ON p.member_id = m.id',
    /a LEFT join keeps rows/,
  ],
  [
    'SELECT m.id FROM members m JOIN payments p ON m.id = p.member_id FULL JOIN states s ON s.state = m.state',
    /a (FULL|OUTER) join keeps rows/,
  ],
  [
    'SELECT m.id, row_number() OVER (ORDER BY amount) AS n FROM members m JOIN payments p ON m.id = p.member_id',
    /PARTITION BY does not contain/,
  ],
  [
    'SELECT m.id FROM members m JOIN payments p ON m.id = p.member_id QUALIFY row_number() OVER (PARTITION BY state) = 1',
    /PARTITION BY/,
  ],
  ['SELECT DISTINCT state FROM members m JOIN payments p ON m.id = p.member_id', /DISTINCT does not contain/],
  [
    'SELECT DISTINCT ON (state) m.id FROM members m JOIN payments p ON m.id = p.member_id',
    /DISTINCT does not contain/,
  ],
  ['SELECT m.id FROM members m JOIN payments p ON m.id = p.member_id LIMIT 3', /LIMIT/],
  [
    'SELECT m.id FROM members m JOIN payments p ON m.id = p.member_id GROUP BY GROUPING SETS ((m.id), ())',
    /GROUP BY does not contain/,
  ],
  [
    'SELECT m.id FROM members m WHERE EXISTS (SELECT 1 FROM payments p WHERE p.member_id = m.id)',
    /a subquery reads a divided table/,
  ],
  [
    'SELECT id FROM members UNION ALL SELECT 1 FROM payments, members WHERE id = member_id UNION ALL SELECT 7',
    /the other is whole/,
  ],
  [
    'SELECT state, id FROM members UNION SELECT CAST(member_id AS TEXT), member_id + 1 FROM payments',
    /at one place of both sides/,
  ],
  [
    'SELECT m.id FROM (SELECT abs(id) AS id FROM members) m JOIN payments p ON m.id = p.member_id',
    /does not compare their keys/,
  ],
  [
    'SELECT m.id FROM (SELECT id FROM members) m(x) JOIN payments p ON m.x = p.member_id',
    /does not compare their keys/,
  ],
  [
    'SELECT m.id + 1 AS id, count(*) FROM members m JOIN payments p ON m.id = p.member_id GROUP BY ALL',
    /GROUP BY ALL/,
  ],
  [
    'SELECT p.member_id, count(*) FROM members m LEFT JOIN payments p ON m.id = p.member_id GROUP BY p.member_id',
    /GROUP BY does not contain/,
  ],
  ['SELECT m.id FROM main.members m JOIN payments p ON m.id = p.member_id', /without its schema/],
  [
    'SELECT m.id FROM members m TABLESAMPLE reservoir(3 ROWS) REPEATABLE (1) JOIN payments p ON m.id = p.member_id',
    /sample/,
  ],
  [
    'SELECT x.id, count(*) FROM (SELECT s.*, m.id FROM states s JOIN members m ON true JOIN payments p ON p.member_id = m.id) x GROUP BY x.id',
    /GROUP BY does not contain/,
  ],
  [
    'SELECT * REPLACE (1 AS id) FROM members UNION SELECT member_id, note, paid_at FROM payments',
    /at one place/,
  ],
  ['SELECT id FROM members', /does not read payments/],
  [
    'WITH members AS (SELECT 1 AS id), payments AS (SELECT 1 AS member_id) SELECT members.id FROM members, payments',
    /does not read|not read/,
  ],
]

const row = {
  key: fc.option(fc.integer({ min: 0, max: 6 })),
  text: fc.constantFrom('a', 'b', null),
  n: fc.integer({ min: 0, max: 3 }),
}
const literal = (value: string | number | null) => (value === null ? 'NULL' : `'${value}'`)

test('what is taken gives by buckets what it gives whole', async () => {
  const keyedBy = new Map<string, string>()
  for (const sql of ALIKE) {
    await graph(sql)
    const keyed = await keyedOf(sql)
    if (keyed !== undefined) keyedBy.set(sql, keyed)
  }
  assert.ok(keyedBy.size * 2 > ALIKE.length, `${keyedBy.size} of ${ALIKE.length} say their key`)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record(row), { maxLength: 25 }),
      fc.array(fc.record(row), { maxLength: 25 }),
      async (members, payments) => {
        const values = (rows: string[], none: string) =>
          rows.length > 0 ? `VALUES ${rows.join(', ')}` : `SELECT ${none} WHERE false`
        const none = 'NULL, NULL, NULL'
        await duck.run(`CREATE OR REPLACE TABLE members AS SELECT a::INTEGER AS id, b::TEXT AS state, c::INTEGER AS since
        FROM (${values(
          members.map(({ key, text, n }) => `(${literal(key)}, ${literal(text)}, ${n})`),
          none,
        )}) t(a, b, c)`)
        await duck.run(`CREATE OR REPLACE TABLE payments AS SELECT a::BIGINT AS member_id, b::TEXT AS note, c::INTEGER AS paid_at, c::INTEGER AS amount
        FROM (${values(
          payments.map(({ key, text, n }) => `(${literal(key)}, ${literal(text)}, ${n})`),
          none,
        )}) t(a, b, c)`)
        await duck.run("CREATE OR REPLACE TABLE states AS VALUES ('a', 'A'), ('b', 'B'), ('b', 'C')")
        await duck.run('ALTER TABLE states RENAME col0 TO state')
        await duck.run('ALTER TABLE states RENAME col1 TO name')
        await duck.run("CREATE OR REPLACE MACRO cleaned(x) AS coalesce(trim(x), '-')")
        const rows = async (query: string) =>
          (await duck.rows(`SELECT to_json(x)::TEXT AS x FROM (${query}) x`))
            .map(({ x }) => String(x))
            .toSorted()
        for (const sql of ALIKE) {
          const parts = []
          for (let n = 0; n < COUNT; n++) parts.push(...(await rows(bucketSql(sql, buckets, n))))
          const whole = await rows(sql)
          assert.deepEqual(parts.toSorted(), whole, sql)
          const keyed = keyedBy.get(sql)
          if (keyed === undefined) continue
          // Rows of some keys anew, and those of all others as they were.
          await duck.run(`CREATE OR REPLACE TEMP TABLE ${CHANGED_KEYS} AS SELECT unnest(['1', '3']) AS k`)
          const others = `SELECT * FROM (${sql}) WHERE "${keyed}" NOT IN ('1', '3')`
          const anew = await rows(changedSql(sql, buckets.keys))
          assert.deepEqual([...anew, ...(await rows(others))].toSorted(), whole, `by ${keyed}: ${sql}`)
        }
      },
    ),
    { numRuns: 12 },
  )
})

for (const [sql, reason] of REFUSED)
  test(`not in buckets: ${sql}`, async () => {
    await assert.rejects(graph(sql), (error: Error) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'MODEL_INVALID')
      assert.match(error.message, reason)
      return true
    })
  })

test('what is made in buckets, and what comes after it, stands last; one upon another is refused', async () => {
  const model = (name: string, sql: string) => ({ name, file: `${name}.sql`, sql })
  const sources = (own: string) => ({
    extracts: [{ name: 'members' }],
    models: [
      {
        ...model('b', own),
        buckets: { count: 2, keys: [{ table: own.split(' ').at(-1)!, column: 'id' }], place },
      },
      {
        ...model('a', 'SELECT * FROM members'),
        buckets: { count: 2, keys: [{ table: 'members', column: 'id' }], place },
      },
      model('after', 'SELECT * FROM a'),
      model('beside', 'SELECT * FROM members'),
    ],
    checks: [],
    macros: [],
    loads: ['a', 'b', 'after', 'beside'].map(from => ({ from })),
  })
  const { models } = await graphOf(duck, sources('SELECT * FROM members'))
  assert.deepEqual(
    models.map(({ name, late }) => [name, late === true]),
    [
      ['beside', false],
      ['b', true],
      ['a', true],
      ['after', true],
    ],
  )
  await assert.rejects(
    graphOf(duck, sources('SELECT * FROM after')),
    /after, which it reads, is made in buckets/,
  )
})

test('keys of buckets have types by which equal ones are equal', () => {
  const tables = (id: string, member: string) =>
    new Map([
      ['members', [{ name: 'id', type: id }]],
      ['payments', [{ name: 'member_id', type: member }]],
    ])
  for (const [a, b] of [
    ['INTEGER', 'UBIGINT'],
    ['VARCHAR', "ENUM('a')"],
    ['DATE', 'DATE'],
    ['DECIMAL(9,2)', 'DECIMAL(9,2)'],
    ['UUID', 'UUID'],
    ['TIMESTAMP', 'TIMESTAMP'],
  ] as const)
    assert.equal(bucketKeyFault(buckets.keys, '@buckets', tables(a, b)), undefined, a)
  for (const [a, b] of [
    ['INTEGER', 'VARCHAR'],
    ['DECIMAL(9,2)', 'DECIMAL(9,3)'],
    ['DECIMAL(9,2)', 'INTEGER'],
    ['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE'],
  ] as const)
    assert.match(
      bucketKeyFault(buckets.keys, '@buckets', tables(a, b))!.message,
      /equal keys would be in two buckets/,
    )
  for (const type of [
    'DOUBLE',
    'FLOAT',
    'INTEGER[]',
    'STRUCT(a INTEGER)',
    'INTEGER[3]',
    'TIME WITH TIME ZONE',
  ])
    assert.match(
      bucketKeyFault(buckets.keys, '@buckets', tables(type, type))!.message,
      /rows are not divided/,
      type,
    )
  const { message } = bucketKeyFault(
    [{ table: 'members', column: 'ids' }],
    '@buckets',
    tables('INTEGER', 'INTEGER'),
  )!
  assert.match(message, /has no column ids; did you mean "id"\?/)
})
