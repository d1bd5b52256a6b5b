/** What a log does not tell of tables that follow it, each once: found out and read anew, or refused; never passed over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { dropAfter, follow, reversed } from './following.ts'
import { smallJob } from './small.ts'

/** A table that is made, read whole, and changed by statements. */
interface Case {
  made: string[]
  changed: string[]
  /** More of its extract. */
  extract?: string
  key?: string
  columns?: string
}

const warehouse = await freshPostgres()

/** One job with a table a case; all of them are to be equal after a night, and after the changes and another. */
async function nights(
  hooks: Hooks,
  kind: string,
  fresh: (hooks: Hooks) => Promise<FreshDatabase>,
  cases: Record<string, Case>,
) {
  const own = reversed(hooks)
  const { url, query } = await fresh(own)
  const names = Object.keys(cases)
  for (const { made } of Object.values(cases)) for (const sql of made) await query(sql)
  const lines = (line: (name: string, odd: Case) => string) =>
    names.map(name => line(name, cases[name]!)).join('\n')
  const job = await smallJob(own, `odd_${kind}`, {
    'job.yaml': `connections: { s: "${url}", w: "${warehouse.url}" }
defaults: { extract: { from: s, mode: changes, drift: { dropped: evolve, incompatible: evolve } }, load: { to: w, deletes: hard, guard: { max_delete_share: 1, allow_empty: true } } }
extract:
${lines((name, { extract = '', key }) => `  ${name}: { table: ${name}${key ? `, key: ${key}` : ''}${extract} }`)}
load:
${lines((name, { key = 'id' }) => `  ${kind}_${name}: { from: ${name}, key: ${key} }`)}
resources: { memory: 300MB, threads: 2 }
`,
  })
  dropAfter(own, job)
  const notes: string[] = []
  const progress = {
    started() {},
    advanced() {},
    finished() {},
    note: (text: string) => void notes.push(text),
  }
  const night = async () => {
    notes.length = 0
    const { error } = await job.run({ progress })
    assert.equal(error, undefined)
    const differing: string[] = []
    for (const name of names) {
      const { columns = '*', key = 'id' } = cases[name]!
      const list = (table: string) => `SELECT ${columns} FROM ${table} ORDER BY ${key}`
      const [there, here] = [await warehouse.query(list(`${kind}_${name}`)), await query(list(name))]
      if (JSON.stringify(there) !== JSON.stringify(here))
        differing.push(
          `${name}: ${JSON.stringify(there).slice(0, 300)} instead of ${JSON.stringify(here).slice(0, 300)}`,
        )
    }
    assert.deepEqual(differing, [])
  }
  await night()
  for (const { changed } of Object.values(cases)) for (const sql of changed) await query(sql)
  await night()
  return { job, query, notes }
}

test('postgres: partitions that come and go, storage that is rewritten, columns that are made anew', async t => {
  await nights(t, 'postgres', freshPostgres, {
    parted: {
      made: [
        'CREATE TABLE parted (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
        'CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)',
        'CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200)',
        'INSERT INTO parted VALUES (1, 1), (101, 1)',
      ],
      changed: [
        'CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (200) TO (300)',
        'INSERT INTO parted VALUES (201, 1)',
        'UPDATE parted SET id = 102 WHERE id = 1',
      ],
    },
    detached: {
      made: [
        'CREATE TABLE detached (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
        'CREATE TABLE detached_1 PARTITION OF detached FOR VALUES FROM (0) TO (100)',
        'CREATE TABLE detached_2 PARTITION OF detached FOR VALUES FROM (100) TO (200)',
        'INSERT INTO detached VALUES (1, 1), (101, 1)',
      ],
      changed: ['ALTER TABLE detached DETACH PARTITION detached_1'],
    },
    attached: {
      made: [
        'CREATE TABLE attached (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
        'CREATE TABLE attached_1 PARTITION OF attached FOR VALUES FROM (0) TO (100)',
        'INSERT INTO attached VALUES (1, 1)',
      ],
      changed: [
        'CREATE TABLE attached_2 (id int PRIMARY KEY, n int)',
        'INSERT INTO attached_2 VALUES (101, 1)',
        'ALTER TABLE attached ATTACH PARTITION attached_2 FOR VALUES FROM (100) TO (200)',
      ],
    },
    reattached: {
      made: [
        'CREATE TABLE reattached (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
        'CREATE TABLE reattached_1 PARTITION OF reattached FOR VALUES FROM (0) TO (100)',
        'INSERT INTO reattached VALUES (1, 1)',
      ],
      changed: [
        'ALTER TABLE reattached DETACH PARTITION reattached_1',
        'INSERT INTO reattached_1 VALUES (2, 2)',
        'ALTER TABLE reattached ATTACH PARTITION reattached_1 FOR VALUES FROM (0) TO (100)',
      ],
    },
    emptied: {
      made: [
        'CREATE TABLE emptied (id int, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id)',
        'CREATE TABLE emptied_1 PARTITION OF emptied FOR VALUES FROM (0) TO (100)',
        'CREATE TABLE emptied_2 PARTITION OF emptied FOR VALUES FROM (100) TO (200)',
        'INSERT INTO emptied VALUES (1, 1), (101, 1)',
      ],
      changed: ['TRUNCATE emptied_1'],
    },
    anew: {
      made: ['CREATE TABLE anew (id int PRIMARY KEY, n int)', 'INSERT INTO anew VALUES (1, 1), (2, 2)'],
      changed: ['ALTER TABLE anew DROP COLUMN n', 'ALTER TABLE anew ADD COLUMN n int DEFAULT 5'],
    },
    rewritten: {
      made: [
        'CREATE TABLE rewritten (id int PRIMARY KEY, n int)',
        'INSERT INTO rewritten VALUES (1, 1), (2, 2)',
      ],
      changed: ['ALTER TABLE rewritten ALTER COLUMN n TYPE int USING n * 10'],
    },
    labels: {
      made: [
        `CREATE TYPE label AS ENUM ('a', 'b')`,
        'CREATE TABLE labels (id int PRIMARY KEY, n label)',
        `INSERT INTO labels VALUES (1, 'a')`,
      ],
      changed: [`ALTER TYPE label ADD VALUE 'c' BEFORE 'a'`, `INSERT INTO labels VALUES (2, 'c')`],
    },
    relabelled: {
      made: [
        `CREATE TYPE hue AS ENUM ('red', 'blue')`,
        'CREATE TABLE relabelled (id int PRIMARY KEY, n hue, m hue[])',
        `INSERT INTO relabelled VALUES (1, 'red', '{blue}'), (2, 'blue', '{red,blue}')`,
      ],
      changed: [`ALTER TYPE hue RENAME VALUE 'red' TO 'crimson'`],
      columns: 'id, n::text, m::text',
    },
    stored: {
      made: [
        'CREATE TABLE stored (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)',
        'INSERT INTO stored VALUES (1, 1)',
      ],
      changed: ['UPDATE stored SET n = 4', 'INSERT INTO stored VALUES (2, 2)'],
    },
    keyless: {
      made: [
        'CREATE TABLE keyless (id int, n text)',
        'ALTER TABLE keyless REPLICA IDENTITY FULL',
        `INSERT INTO keyless VALUES (1, 'a'), (2, 'b')`,
      ],
      changed: [
        'UPDATE keyless SET id = 3 WHERE id = 1',
        'DELETE FROM keyless WHERE id = 2',
        `INSERT INTO keyless VALUES (4, repeat('x', 3000000))`,
      ],
      key: 'id',
    },
    republished: {
      made: ['CREATE TABLE republished (id int PRIMARY KEY, n int)', 'INSERT INTO republished VALUES (1, 1)'],
      changed: [
        `DO $$ DECLARE p name; BEGIN SELECT pubname INTO p FROM pg_publication WHERE pubname LIKE 'nightfreight_odd%';
          EXECUTE format('ALTER PUBLICATION %I DROP TABLE republished', p); END $$`,
        'UPDATE republished SET n = 2',
        `DO $$ DECLARE p name; BEGIN SELECT pubname INTO p FROM pg_publication WHERE pubname LIKE 'nightfreight_odd%';
          EXECUTE format('ALTER PUBLICATION %I ADD TABLE republished', p); END $$`,
      ],
    },
    messages: {
      made: ['CREATE TABLE messages (id int PRIMARY KEY, n int)'],
      changed: [
        `SELECT pg_logical_emit_message(true, 'app', 'x'), pg_logical_emit_message(false, 'app', 'y')`,
        'INSERT INTO messages VALUES (1, 1)',
      ],
    },
  })
})

test('mariadb: rows without what did not change, keys that differ in case, transactions of XA of others', async t => {
  await nights(t, 'mariadb', freshMariadb, {
    minimal: {
      made: [
        'CREATE TABLE minimal (id int PRIMARY KEY, n int DEFAULT 3, v varchar(20))',
        `INSERT INTO minimal VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')`,
      ],
      changed: [
        "SET SESSION binlog_row_image = 'MINIMAL'",
        'UPDATE minimal SET n = 10 WHERE id = 1',
        'DELETE FROM minimal WHERE id = 2',
        'UPDATE minimal SET id = 30 WHERE id = 3',
        "SET SESSION binlog_row_image = 'FULL'",
      ],
    },
    folded: {
      made: [
        'CREATE TABLE folded (id varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n int)',
        `INSERT INTO folded VALUES ('a', 1), ('b', 2)`,
      ],
      changed: [`UPDATE folded SET id = 'A' WHERE id = 'a'`, `REPLACE INTO folded VALUES ('B', 5)`],
    },
    relabelled: {
      made: [
        `CREATE TABLE relabelled (id int PRIMARY KEY, n enum('a', 'b'), v varchar(20), at datetime(3))`,
        `INSERT INTO relabelled VALUES (1, 'a', 'abcdef', '2026-01-01 00:00:00.750'), (2, 'b', 'x', NULL)`,
      ],
      changed: [
        "SET SESSION sql_mode = ''",
        `ALTER TABLE relabelled MODIFY n enum('z', 'b')`,
        'ALTER TABLE relabelled MODIFY v varchar(3)',
        'ALTER TABLE relabelled MODIFY at datetime',
        'SET SESSION sql_mode = DEFAULT',
      ],
      columns: 'id, n, v, CAST(at AS char(19)) AS at',
    },
    shrunk: {
      made: ['CREATE TABLE shrunk (id int PRIMARY KEY, n int)', 'INSERT INTO shrunk VALUES (1, 1), (2, 2)'],
      changed: [
        'SET STATEMENT max_statement_time = 10 FOR TRUNCATE TABLE shrunk',
        'INSERT INTO shrunk VALUES (3, 3)',
      ],
    },
    xa: {
      made: ['CREATE TABLE xa (id int PRIMARY KEY, n int)', 'CREATE TABLE xa_other (id int PRIMARY KEY)'],
      changed: [
        "XA START 'o'",
        'INSERT INTO xa_other VALUES (1)',
        "XA END 'o'",
        "XA PREPARE 'o'",
        "XA COMMIT 'o'",
        'INSERT INTO xa VALUES (1, 1)',
      ],
    },
  })
})

test('mariadb: what leaves rows with values that the log does not tell is an error that says what to do', async t => {
  const { query, job } = await follow(t, {
    fresh: freshMariadb,
    warehouse,
    table: 'untold',
    statements: [
      'CREATE TABLE untold (id int PRIMARY KEY, n decimal(10,2), m int)',
      'INSERT INTO untold VALUES (1, 1.25, 1), (2, 2, 2)',
    ],
  })
  assert.equal((await job.run()).error, undefined)
  // Of InnoDB it takes no row.
  await query('REPAIR TABLE untold')
  assert.equal((await job.run({ fresh: true })).error, undefined)
  for (const statements of [
    ['ALTER TABLE untold DROP COLUMN m', 'ALTER TABLE untold ADD COLUMN m int DEFAULT 5'],
    ['ALTER TABLE untold MODIFY n decimal(10,1)', 'ALTER TABLE untold MODIFY n decimal(10,2)'],
    [
      'ALTER TABLE untold ADD COLUMN o int',
      'ALTER TABLE untold CHANGE m p int',
      'ALTER TABLE untold CHANGE o m int',
      'ALTER TABLE untold DROP COLUMN p',
    ],
    ["XA START 'p'", 'INSERT INTO untold (id) VALUES (3)', "XA END 'p'", "XA PREPARE 'p'", "XA COMMIT 'p'"],
    ['ALTER TABLE untold ENGINE = Aria', 'REPAIR TABLE untold'],
    ['REPAIR TABLE untold', 'ALTER TABLE untold ENGINE = InnoDB'],
    ['INSERT INTO untold (id, n) VALUES (4, 4), (5, 4)', 'ALTER IGNORE TABLE untold ADD UNIQUE (n)'],
    [
      'CREATE TABLE `a # b` LIKE untold',
      "SET SESSION sql_mode = 'ANSI_QUOTES'",
      'SET STATEMENT lock_wait_timeout = 9 FOR RENAME TABLE "untold" TO "c ` d", "a # b" TO "untold"',
      'SET SESSION sql_mode = DEFAULT',
    ],
  ]) {
    for (const sql of statements) await query(sql)
    const { error } = await job.run({ fresh: true })
    assert.equal(
      (error as { code?: string } | undefined)?.code,
      'LOG_LOST',
      `${statements.join('; ')}: ${error}`,
    )
    assert.match(String((error as { hint: string }).hint), /--full-refresh/)
    assert.equal((await job.run({ fresh: true, fullRefresh: [] })).error, undefined)
    const list = 'SELECT id, n, m FROM untold ORDER BY id'
    assert.deepEqual(await warehouse.query(list), await query(list))
  }
})

test('postgres: rows that changed while the log told another key are an error that says what to do', async t => {
  const { query, job } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'unkeyed',
    statements: [
      'CREATE TABLE unkeyed (id int PRIMARY KEY, code text NOT NULL CONSTRAINT unkeyed_code UNIQUE, n int)',
      `INSERT INTO unkeyed SELECT i, 'c' || i, i FROM generate_series(1, 9) i`,
    ],
  })
  assert.equal((await job.run()).error, undefined)
  const list = 'SELECT id, code, n FROM unkeyed ORDER BY id'
  for (const sql of [
    'DELETE FROM unkeyed WHERE id = 1',
    'UPDATE unkeyed SET id = 20 WHERE id = 2',
    `UPDATE unkeyed SET id = 30, code = 'other' WHERE id = 3`,
  ]) {
    await query('ALTER TABLE unkeyed REPLICA IDENTITY USING INDEX unkeyed_code')
    await query(sql)
    await query('ALTER TABLE unkeyed REPLICA IDENTITY DEFAULT')
    const { error } = await job.run({ fresh: true })
    assert.equal((error as { code?: string } | undefined)?.code, 'LOG_LOST', `${sql}: ${error}`)
    assert.match(String(error), /unkeyed.*without id/)
    assert.match(String((error as { hint: string }).hint), /--full-refresh/)
    assert.equal((await job.run({ fresh: true, fullRefresh: [] })).error, undefined)
    assert.deepEqual(await warehouse.query(list), await query(list))
  }
  await query('ALTER TABLE unkeyed REPLICA IDENTITY USING INDEX unkeyed_code')
  await query(`INSERT INTO unkeyed VALUES (50, 'fifty', 50)`)
  await query('ALTER TABLE unkeyed REPLICA IDENTITY FULL')
  await query('UPDATE unkeyed SET id = 51 WHERE id = 50')
  assert.equal((await job.run({ fresh: true })).error, undefined)
  assert.deepEqual(await warehouse.query(list), await query(list))
})

test('a history whose key has any name tells what is emptied, twice', async t => {
  const own = reversed(t)
  const [database, warehouse] = [await freshPostgres(own), await freshPostgres(own)]
  const keys = ['id', 'n', 'at', 'last', 'gone', 'earlier', 'e', 'k']
  const each = async (sql: (key: string) => string) => {
    for (const key of keys) await database.query(sql(key))
  }
  await each(key => `CREATE TABLE of_${key} ("${key}" int PRIMARY KEY, v int)`)
  await each(key => `INSERT INTO of_${key} VALUES (1, 1), (2, 2)`)
  const job = await smallJob(own, 'named_histories', {
    'job.yaml': `connections: { s: "${database.url}", w: "${warehouse.url}" }
extract:
${keys.map(key => `  of_${key}: { from: s, mode: changes, history: true }\n`).join('')}load:
${keys.map(key => `  of_${key}: { to: w, from: of_${key}, key: [${key}, change_number], mode: append }\n`).join('')}`,
  })
  dropAfter(own, job)
  const night = async () => assert.equal((await job.run()).error, undefined)
  await night()
  await each(
    key => `DELETE FROM of_${key} WHERE "${key}" = 2; TRUNCATE TABLE of_${key}; INSERT INTO of_${key} VALUES (5, 5);
      TRUNCATE TABLE of_${key}; INSERT INTO of_${key} VALUES (6, 6)`,
  )
  await night()
  for (const key of keys) {
    const found = await warehouse.query<{ told: string }>(
      `SELECT change_kind || ' ' || "${key}" AS told FROM of_${key} ORDER BY change_number, change_kind, "${key}"`,
    )
    assert.deepEqual(
      found.slice(2).map(({ told }) => told),
      ['delete 2', 'delete 1', 'insert 5', 'delete 5', 'insert 6'],
      key,
    )
  }
})
