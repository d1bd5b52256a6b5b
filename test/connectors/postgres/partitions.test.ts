import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { PostgresTarget } from '../../../src/connectors/postgres/target.ts'
import { freshPostgres } from '../../servers.ts'
import { loading, rows } from '../loading.ts'

const postgres = await freshPostgres()
const { load } = loading()

beforeEach(() =>
  postgres.query(
    'DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public',
  ),
)

async function withTarget(use: (target: PostgresTarget) => Promise<void>): Promise<void> {
  const target = new PostgresTarget({ name: 'w', url: postgres.url })
  try {
    await use(target)
  } finally {
    await target.close()
  }
}

/** Each partition with its bounds and rows. */
async function partitions(): Promise<string[]> {
  const found = await postgres.query<{ line: string }>(
    `SELECT concat_ws(' | ', c.relname, pg_get_expr(c.relpartbound, c.oid), (SELECT count(*) FROM t WHERE t.tableoid = c.oid),
       (SELECT count(*) FROM pg_index WHERE indrelid = c.oid)) AS line
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 't'::regclass ORDER BY 1`,
  )
  return found.map(({ line }) => line.replace('FOR VALUES ', ''))
}

test('by list: a partition for every new value, NULL too, with the indexes of the table', () =>
  withTarget(async target => {
    await postgres.query(`CREATE TABLE t (id int, region text, x int, UNIQUE (id, region)) PARTITION BY LIST (region);
      CREATE INDEX ON t (x); CREATE TABLE t_old PARTITION OF t FOR VALUES IN ('eu', 'uk')`)
    const sql = rows("(1, 'eu', 1)", "(2, 'us', 1)", '(3, NULL, 1)', "(4, 'Süd/West', 1)", "(5, 'us', 1)")
    const counts = await load(target, 'L1', {}, `${sql} AS v(id, region, x)`)
    assert.equal(counts.inserted, 5)
    const found = await partitions()
    assert.deepEqual(
      found.map(line => line.replace(/_[0-9a-f]{8} /, '_# ')),
      [
        't_null_# | IN (NULL) | 1 | 2',
        "t_old | IN ('eu', 'uk') | 1 | 2",
        "t_s_d_west_# | IN ('Süd/West') | 1 | 2",
        "t_us | IN ('us') | 2 | 2",
      ],
    )
    await load(
      target,
      'L2',
      { mode: 'partition', partitionBy: ['region'] },
      `${rows("(7, 'us', 3)")} AS v(id, region, x)`,
      "SELECT 'us' AS region UNION ALL SELECT NULL",
    )
    assert.deepEqual(
      (await postgres.query<{ id: number }>('SELECT id FROM t ORDER BY id')).map(({ id }) => id),
      [1, 4, 7],
    )
  }))

test('by range: a partition for every period; those past keep are dropped, others never', () =>
  withTarget(async target => {
    await postgres.query(`CREATE TABLE t (id int, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE early PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2025-09-01');
      CREATE TABLE t_2025_12 PARTITION OF t FOR VALUES FROM ('2025-12-01') TO ('2026-01-01')`)
    const at = (...times: string[]) =>
      `${rows(...times.map((time, id) => `(${id}, TIMESTAMPTZ '${time}+00')`))} AS v(id, "at")`
    const spec = { key: ['id', 'at'], partitions: { every: 'month' as const } }
    await load(
      target,
      'L1',
      spec,
      at('2025-11-30 23:59:59.999999', '2025-12-01 00:00:00', '2026-01-31 00:00:00', '2020-01-01 00:00:00'),
    )
    assert.deepEqual(
      (await partitions()).map(line => line.replaceAll(' 00:00:00+00', '')),
      [
        "early | FROM (MINVALUE) TO ('2025-09-01') | 1 | 1",
        "t_2025_11 | FROM ('2025-11-01') TO ('2025-12-01') | 1 | 1",
        "t_2025_12 | FROM ('2025-12-01') TO ('2026-01-01') | 1 | 1",
        "t_2026_01 | FROM ('2026-01-01') TO ('2026-02-01') | 1 | 1",
      ],
    )
    // A foreign key to the table is one to each of its partitions.
    await postgres.query('CREATE TABLE c (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES t)')
    // The run is of January: November is its second month before.
    await load(target, 'L2', { ...spec, partitions: { every: 'month', keep: 2 } }, at('2026-01-02 00:00:00'))
    assert.deepEqual(
      (await partitions()).map(line => line.split(' ')[0]),
      ['t_2025_11', 't_2025_12', 't_2026_01'],
    )
    await load(target, 'L3', { ...spec, partitions: { every: 'month', keep: 1 } }, at('2026-01-03 00:00:00'))
    assert.deepEqual(
      (await partitions()).map(line => line.split(' ')[0]),
      ['t_2025_12', 't_2026_01'],
    )
  }))

test('partitions asked of a table that has none are refused; a value without a partition is named', () =>
  withTarget(async target => {
    await postgres.query('CREATE TABLE t (id int PRIMARY KEY, at date)')
    const sql = "SELECT 1 AS id, DATE '2026-01-31' AS at"
    await assert.rejects(load(target, 'L1', { partitions: { every: 'day' } }, sql), {
      code: 'TARGET_INCOMPATIBLE',
      message: /^w\.t: is not partitioned/,
    })
    await postgres.query('DROP TABLE t; CREATE TABLE t (id int, at date) PARTITION BY RANGE (at)')
    await assert.rejects(load(target, 'L2', {}, sql), {
      code: 'CONSTRAINT_VIOLATED',
      message: /no partition of relation "t".*2026-01-31/,
    })
    await load(target, 'L3', { partitions: { every: 'day' } }, sql)
    assert.deepEqual(await partitions(), ["t_2026_01_31 | FROM ('2026-01-31') TO ('2026-02-01') | 1 | 0"])
  }))

test('partitions of tables whose long names begin alike have names of their own, in whatever letters', () =>
  withTarget(async target => {
    const long = 'customer_subscription_payment_events_of_'
    for (const table of [`${long}day`, `${long}month`, 'ü'.repeat(30), `${'ü'.repeat(29)}ä`]) {
      await postgres.query(
        `CREATE TABLE "${table}" (id int, region text, UNIQUE (id, region)) PARTITION BY LIST (region)`,
      )
      const sql = `${rows("(1, 'eu')", "(2, 'us')", "(3, 'a long value of its own')")} AS v(id, region)`
      const { inserted } = await load(target, table, { table }, sql)
      assert.equal(inserted, 3)
    }
    const [found] = await postgres.query(
      "SELECT count(DISTINCT inhrelid) AS n FROM pg_inherits i JOIN pg_class c ON c.oid = inhparent AND c.relkind = 'p'",
    )
    assert.equal(Number(found!.n), 12)
  }))
