import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openMetadata } from '../../src/metadata/open.ts'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { copying } from './copying.ts'

const { folder, home, copy, rows } = copying()
const postgres = await freshPostgres()
const mariadb = await freshMariadb()

await postgres.query(`
  CREATE TABLE orders (id int PRIMARY KEY, note text, amount numeric(12,2));
  INSERT INTO orders VALUES (1, 'one', 1.50), (2, NULL, 2.25), (3, 'three', NULL);
  CREATE TABLE keyless (word text); INSERT INTO keyless VALUES ('a'), ('a'), (NULL);
  CREATE SCHEMA sales;
  CREATE TABLE sales."Order Details" (a int, b int, q float8, PRIMARY KEY (a, b));
  INSERT INTO sales."Order Details" VALUES (1, 1, 0.5), (1, 2, 1.5);
  CREATE TABLE sales.tmp_x (id int PRIMARY KEY);`)

test('a schema goes over in one command; the next copy loads what changed, and deletes what is gone', async () => {
  const target = join(folder, 'dw.duckdb')
  const args = [postgres.url, `duckdb:${target}`, '--exclude', 'tmp_*']
  const first = await copy(...args)
  assert.equal(first.code, 0, first.err)
  assert.match(first.out, /target\.orders +3 +3 +0 +0 +0 +3 equal/)
  assert.deepEqual(
    await rows(target, 'SELECT word, count(*)::INTEGER AS n FROM keyless GROUP BY ALL ORDER BY ALL'),
    [
      { word: 'a', n: 2 },
      { word: null, n: 1 },
    ],
  )
  assert.deepEqual(await rows(target, 'SELECT a, b, q FROM "Order Details" ORDER BY ALL'), [
    { a: 1, b: 1, q: 0.5 },
    { a: 1, b: 2, q: 1.5 },
  ])
  await postgres.query(
    `UPDATE orders SET note = 'uno' WHERE id = 1; INSERT INTO orders VALUES (4, 'four', 4)`,
  )
  const planned = await copy(...args, '--dry-run')
  assert.match(planned.out, /\+ 1 to insert {3}~ 1 to update/)
  const second = await copy(...args)
  assert.match(second.out, /target\.orders +4 +1 +1 +0 +2 +2 equal/, second.err)
  assert.deepEqual(await rows(target, 'SELECT id, note FROM orders ORDER BY id'), [
    { id: 1, note: 'uno' },
    { id: 2, note: null },
    { id: 3, note: 'three' },
    { id: 4, note: 'four' },
  ])
})

test('a copy that is interrupted goes on by the line that it prints', async () => {
  await mariadb.query('CREATE TABLE halfway (id int PRIMARY KEY)')
  await mariadb.query('INSERT INTO halfway VALUES (1), (2)')
  const args = [mariadb.url, postgres.url, '--tables', 'halfway', '--schema', 'half']
  assert.equal((await copy(...args)).code, 0)
  await mariadb.query('INSERT INTO halfway VALUES (3)')
  // It waits for the table, in its plan or its load, for as long as it is not told to stop.
  await postgres.query('BEGIN; LOCK TABLE half.halfway IN ACCESS EXCLUSIVE MODE')
  const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
  const stopped = await commandLine(home, ['copy', ...args], {
    begun: async child => {
      while ((await metadata.runs(1))[0]?.status !== 'RUNNING') await delay(50)
      child.kill('SIGTERM')
    },
  })
  await postgres.query('COMMIT')
  const [left] = await metadata.runs(1)
  await metadata.close()
  assert.equal(stopped.code, 130, stopped.output)
  assert.match(stopped.err, /hint: Type the same nightfreight copy line again/)
  const resumed = await commandLine(home, ['resume', left!.run])
  assert.equal(resumed.code, 2)
  assert.match(
    resumed.err,
    /is a copy: its URLs are kept nowhere\nhint: Type the same nightfreight copy line/,
  )
  const again = await copy(...args)
  assert.equal(again.code, 0, again.err)
  assert.match(again.err, new RegExp(`continuing run ${left!.run}`))
  assert.match(again.out, /target\.half\.halfway +3 +1/)
  await mariadb.query('DROP TABLE halfway')
})

test('what a copy has no option for is said as what can be typed: the job that it is', async () => {
  await postgres.query(`CREATE SCHEMA shrinking; CREATE TABLE shrinking.t (id int PRIMARY KEY, v text);
    INSERT INTO shrinking.t SELECT i, 'x' FROM generate_series(1, 10) AS i`)
  const args = [postgres.url, `duckdb:${join(folder, 'shrinking.duckdb')}`, '--tables', 'shrinking.t']
  assert.equal((await copy(...args)).code, 0)
  await postgres.query('DELETE FROM shrinking.t WHERE id > 2')
  const stopped = await copy(...args)
  assert.equal(stopped.code, 3, stopped.output)
  assert.match(
    stopped.err,
    /raise guard\.max_delete_share of this load\. For that, make the copy a job of your own: the same line with --save FOLDER/,
  )
  const own = join(folder, 'own')
  const told = await copy(...args, '--save', own)
  assert.match(told.out, /export COPY_FROM=… {2}\(the URL that you gave\)\n {2}export COPY_TO=duckdb:/)
  const file = join(own, 'job.yaml')
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace('to: target', 'to: target\n    guard: { max_delete_share: 1 }'),
  )
  const env = { COPY_FROM: args[0]!, COPY_TO: args[1]! }
  const mended = await commandLine(home, ['run', own], { env })
  assert.equal(mended.code, 0, mended.output)
  assert.deepEqual(await rows(join(folder, 'shrinking.duckdb'), 'SELECT count(*)::INTEGER AS n FROM t'), [
    { n: 2 },
  ])
  await postgres.query('ALTER TABLE shrinking.t DROP v')
  const lacking = await copy(...args)
  assert.match(
    lacking.err,
    /in extract\.t of job\.yaml: drift: .*an extract of one begins with from: source\./,
  )
  const yaml = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    yaml.replace(
      'extract:',
      'extract:\n  t: { from: source, drift: { dropped: evolve }, table: shrinking.t }',
    ),
  )
  const shorter = await commandLine(home, ['run', own], { env })
  assert.equal(shorter.code, 0, shorter.output)
  await postgres.query('DROP SCHEMA shrinking CASCADE')
})

test('tables are chosen by name and glob, in the URL or beside it, and go to a schema', async () => {
  const chosen = await copy(`${postgres.url}?tables=orders`, mariadb.url)
  assert.equal(chosen.code, 0, chosen.err)
  assert.equal((await mariadb.query('SELECT count(*) AS n FROM orders'))[0]!.n, '4')
  const back = await copy(mariadb.url, postgres.url, '--tables', 'ord*', '--schema', 'raw')
  assert.equal(back.code, 0, back.err)
  assert.equal((await postgres.query('SELECT count(*) AS n FROM raw.orders'))[0]!.n, '4')
  const none = await copy(postgres.url, 'lake:./lake', '--tables', 'ordres')
  assert.equal(none.code, 2)
  assert.match(none.err, /no table is called ordres; did you mean "orders"\?/)
})

test('a file is copied by its name; without a key it is what the target holds', async () => {
  const file = join(folder, 'people.csv')
  writeFileSync(file, 'id,name\n1,Ada\n2,Bob\n')
  const lake = join(folder, 'lake')
  assert.equal((await copy(file, `lake:${lake}`)).code, 0)
  writeFileSync(file, 'id,name\n1,Ada\n')
  const fewer = await copy(file, `lake:${lake}`)
  assert.equal(fewer.code, 3, 'half of the table would go: the guard asks first')
  mkdirSync(join(folder, 'many'))
  const many = await copy(join(folder, 'many'), `lake:${lake}`)
  assert.equal(many.code, 2)
  assert.match(many.err, /is a folder[\s\S]*\*\.csv/)
})

test('how files are written is found, shown with three rows, and kept in the job', async () => {
  const place = join(folder, 'written')
  mkdirSync(join(place, 'orders'), { recursive: true })
  const text = '\ufeffid;amount;note\n1;9,50;ö\n2;1,25;\n3;2,00;c\n4;3,00;d\n'
  writeFileSync(join(place, 'orders/a.txt'), text, 'utf16le')
  writeFileSync(join(place, 'orders/b.txt'), text.replaceAll(/^(\d)/gm, '1$1'), 'utf16le')
  writeFileSync(join(place, 'orders/empty.txt'), '')
  const target = join(place, 'dw.duckdb')
  const plain = await copy(join(place, 'orders'), `duckdb:${target}`, '--save', join(place, 'plain'))
  assert.match(plain.out, /\namount is text; if they are numbers: --set decimal=,\nSet at the first load: /)
  const typed = plain.out.split('\n').filter(line => line.startsWith('  '))
  const [from, to] = typed.map(line => /=(.*)/.exec(line)?.[1])
  const env = { NIGHTFREIGHT_HOME: home, COPY_FROM: from!, COPY_TO: to! }
  assert.equal(typed.at(-1), `  nightfreight run ${join(place, 'plain')}`)
  assert.equal((await commandLine(home, ['validate', join(place, 'plain')], { env })).code, 0)
  const args = [join(place, 'orders'), `duckdb:${target}`, '--set', 'decimal=,']
  const first = await copy(...args)
  assert.equal(first.code, 0, first.err)
  assert.match(
    first.out,
    /a\.txt \(and 1 more\): csv, delimiter ";", utf-16\nid +amount +note\n.*\n1 +9,50 +ö\n2 .*\n3 .*\n(?!4)/,
  )
  const [sum] = await rows(target, 'SELECT count(*)::INTEGER AS n, sum(amount)::VARCHAR AS s FROM orders')
  assert.deepEqual(sum, { n: 8, s: '31.50' })
  const saved = join(place, 'job')
  const kept = await copy(...args, '--save', saved, '--json')
  const { rows: shown, notes } = JSON.parse(kept.out.split('\n')[0]!)
  assert.deepEqual([shown.length, notes], [3, []])
  assert.match(
    readFileSync(join(saved, 'job.yaml'), 'utf8'),
    /files: "\*\.txt"\n[^:]+: all\n +encoding: utf-16\n +delimiter: ;\n +decimal: ","/,
  )
  const another = { ...env, COPY_TO: `duckdb:${target}2` }
  assert.equal((await commandLine(home, ['run', saved], { env: another })).code, 0)
})

test('a Parquet file that cannot be read is named, also where it fails at its first rows', async () => {
  const good = join(folder, 'good.parquet')
  await rows(':memory:', `COPY (SELECT range AS id FROM range(100)) TO '${good}' (FORMAT parquet)`)
  const bytes = readFileSync(good)
  // Its footer is whole, its first page is not.
  bytes.fill(0xff, 4, 40)
  const path = join(folder, 'damaged.parquet')
  writeFileSync(path, bytes)
  const { code, err } = await copy(path, `duckdb:${join(folder, 'damaged.duckdb')}`)
  assert.equal(code, 4, err)
  assert.match(err, /error DECODE_FAILED: source damaged[.]parquet: /)
})

test('what is not found of files is said with the flag, and the flag is right', async () => {
  const file = join(folder, 'written.dat')
  const target = `duckdb:${join(folder, 'written.duckdb')}`
  const write = (text: string) => writeFileSync(file, text, 'latin1')
  const failed = async (says: RegExp, ...flags: string[]) => {
    const { code, err } = await copy(file, target, ...flags)
    assert.equal(code, 2, err)
    assert.match(err, says)
    return [...err.matchAll(/--set (?:'([^']*)'|([\w=.,%-]+))/g)].flatMap(([, quoted, plain]) => [
      '--set',
      (quoted ?? plain)!,
    ])
  }
  write('id,name\n1,M\xfcller\n')
  const [, encoding] = await failed(/line 2 is not UTF-8/)
  assert.equal((await copy(file, target, '--set', encoding!)).code, 0)
  assert.deepEqual(await rows(join(folder, 'written.duckdb'), 'SELECT name FROM written'), [
    { name: 'Müller' },
  ])
  write('a,b;c\n1,2;3\n')
  const either = await failed(/may be "," or ";"/)
  assert.equal((await copy(file, `${target}2`, ...either.slice(0, 2))).code, 0)
  write('1,Ada\n2,Bob\n')
  const names = await failed(/looks like a row/)
  assert.equal((await copy(file, `${target}3`, ...names.slice(0, 4))).code, 0)
  assert.deepEqual(
    await rows(join(folder, 'written.duckdb3'), 'SELECT count(*)::INTEGER AS n FROM written'),
    [{ n: 2 }],
  )
  await failed(/there is no key "delimeter"; did you mean "delimiter"/, '--set', 'delimeter=;')
  await failed(/no value[\s\S]*--set delimiter=VALUE/, '--set', 'delimiter')
  await failed(/--set delimiter: must be one ASCII character/, '--set', 'delimiter=;;')
  await failed(/--set header: /, '--set', 'header=perhaps')
  await failed(
    /--set header: false needs schema/,
    '--set',
    'header=false',
    '--set',
    'quote=',
    '--set',
    'escape=\\',
  )
  const none = await copy(join(folder, 'none.csv'), target)
  assert.match(none.err, /TABLE_MISSING.*none\.csv\nhint: Check the path/)
  const database = await copy(postgres.url, target, '--set', 'delimiter=;')
  assert.match(database.err, /--set is for files/)
})

for (const { kind, database, quote } of [
  { kind: 'Postgres', database: postgres, quote: (name: string) => `"${name.replaceAll('"', '""')}"` },
  { kind: 'MariaDB', database: mariadb, quote: (name: string) => `\`${name.replaceAll('`', '``')}\`` },
])
  test(`${kind}: views are copied where they are named, and told where not; names that part in two in a target are told`, async () => {
    const names = ['odd.name', 'odd`tick', 'odd"quote', 'odd/slash']
    for (const [n, name] of names.entries())
      await database.query(
        `CREATE TABLE ${quote(name)} (id int PRIMARY KEY); INSERT INTO ${quote(name)} VALUES (${n})`,
      )
    await database.query(`CREATE VIEW odd_view AS SELECT 7 AS id`)
    try {
      for (const target of [`duckdb:${folder}/odd-${kind}.duckdb`, `lake:${folder}/odd-${kind}`]) {
        const { code, out, err } = await copy(database.url, target, '--tables', 'odd*')
        assert.equal(code, 0, err)
        assert.match(out, /called otherwise in the target.*odd_name/)
        for (const name of ['odd_name', 'odd_tick', 'odd_quote'])
          assert.match(out, new RegExp(`target\\.${name} +1 +1 `))
        assert.match(out, /target\.odd\/slash +1 +1 /)
        assert.match(out, /^views, which are copied where --tables names them: odd_view$/m)
        const again = await copy(database.url, target, '--tables', 'odd*')
        assert.match(again.out, /target\.odd_name +1 +0 +0 +0 +1 /)
      }
      const target = `duckdb:${folder}/views-${kind}.duckdb`
      const all = await copy(database.url, target, '--dry-run')
      assert.match(all.out, /^views, which are copied where --tables names them: odd_view$/m)
      const none = await copy(database.url, target, '--tables', '*d_view')
      assert.match(
        none.err,
        /no table is called \*d_view, but a view is\nhint: .* named in full: --tables odd_view$/m,
      )
      const named = await copy(database.url, target, '--tables', 'odd_view', '--key', 'id', '--mode', 'merge')
      assert.match(named.out, /target\.odd_view +1 +1 .* 1 equal/, named.err)
    } finally {
      await database.query(`DROP VIEW odd_view; ${names.map(name => `DROP TABLE ${quote(name)}`).join('; ')}`)
    }
  })

test('a copy is saved as a job, and no file holds a URL', async () => {
  const saved = join(folder, 'shop')
  const result = await copy(postgres.url, 'duckdb:x.duckdb', '--tables', 'orders', '--save', saved)
  assert.equal(result.code, 0, result.err)
  const env = {
    NIGHTFREIGHT_HOME: home,
    COPY_FROM: postgres.url,
    COPY_TO: `duckdb:${join(folder, 'saved.duckdb')}`,
  }
  assert.equal((await commandLine(home, ['run', saved], { env })).code, 0)
  assert.equal(
    (await copy(postgres.url, 'duckdb:x.duckdb', '--save', saved)).code,
    2,
    'nothing is written over',
  )
  const password = new URL(postgres.url).password
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && !/[.](duckdb|parquet)$/.test(entry.name))
      assert.ok(!readFileSync(join(entry.parentPath, entry.name)).includes(password), entry.name)
})

test('what cannot be copied is said once, with the form that can', async () => {
  for (const [src, dst, message] of [
    ['orders.csv', 'warehouse', /DST: "warehouse" is no URL\n.*duckdb:warehouse\.duckdb/],
    ['https://api.example.com/x', 'lake:./l', /SRC: an HTTP API does not say[\s\S]*connectors\/http\.md/],
    ['postgres://nobody:hush@127.0.0.1:1/x', 'lake:./l', /CONNECTION_FAILED/],
  ] as const) {
    const { code, err } = await copy(src, dst)
    assert.notEqual(code, 0)
    assert.match(err, message)
    assert.doesNotMatch(err, /hush/)
  }
})

test('with --incremental only what changed is read, and what is gone is deleted', async () => {
  await mariadb.query(`CREATE TABLE seen (id int PRIMARY KEY, v int, seq bigint NOT NULL);
    INSERT INTO seen SELECT seq, seq, seq FROM seq_1_to_50; CREATE TABLE plain (id int PRIMARY KEY)`)
  const target = join(folder, 'seen.duckdb')
  const args = [mariadb.url, `duckdb:${target}`, '--tables', 'seen', '--incremental', 'seq', '--lag', '3']
  const first = await copy(...args)
  assert.equal(first.code, 0, first.err)
  await mariadb.query(`DELETE FROM seen WHERE id = 2; UPDATE seen SET v = 0, seq = 51 WHERE id = 1;
    UPDATE seen SET v = -1 WHERE id = 3; INSERT INTO seen VALUES (52, 52, 52)`)
  const second = await copy(...args, '--json')
  assert.equal(second.code, 0, second.err)
  assert.match(second.out, /"read":\{"seen":6\}/)
  // Row 3 has changed without its column saying so: it is not read.
  assert.deepEqual(await rows(target, 'SELECT id, v FROM seen WHERE id <= 3 OR id > 50 ORDER BY id'), [
    { id: 1, v: 0 },
    { id: 3, v: 3 },
    { id: 52, v: 52 },
  ])
  const none = await copy(mariadb.url, `duckdb:${target}`, '--tables', 'plain', '--incremental', 'seq')
  assert.match(none.err, /source\.plain: incremental column seq is not a column of the table/)
  const keyless = await copy(postgres.url, `duckdb:${target}`, '--tables', 'keyless', '--incremental', 'word')
  assert.match(keyless.err, /source\.keyless: an incremental extract needs a key/)
  const alone = await copy(mariadb.url, `duckdb:${target}`, '--tables', 'seen', '--lag', '5m')
  assert.equal(alone.code, 2)
  assert.match(alone.err, /--lag goes with --incremental/)
  const keys = await copy(mariadb.url, `duckdb:${target}`, '--tables', 'seen', '--indexes', '--foreign-keys')
  assert.equal(keys.code, 2)
  assert.match(
    keys.err,
    /^error CONFIG_INVALID: --foreign-keys: a duckdb target keeps none .*\n.*Leave --foreign-keys out/m,
  )
  const bad = await copy(...args.slice(0, -1), 'soon')
  assert.match(bad.err, /incremental\.lag: expected a duration such as 5m/)
  const file = await copy('orders.csv', `duckdb:${target}`, '--incremental', 'seq')
  assert.match(file.err, /--incremental are for tables of a database/)
})

test('a URL that cannot be is said of the end that it is, and not shown; so is a place where nothing can be written', async () => {
  const file = join(folder, 'ends.csv')
  writeFileSync(file, 'id\n1\n')
  for (const url of [
    'postgres://we:ird@/user:s3cr/et@host/dw',
    'mysql://me:s3cr%zzet@host/dw',
    'postgres//me:s3cret@host/dw',
  ]) {
    const { code, err } = await copy(file, url)
    assert.equal(code, 2, err)
    assert.match(err, /CONFIG_INVALID: DST\b/)
    assert.doesNotMatch(err, /s3cr|job\.yaml/)
    if (url.startsWith('mysql:'))
      assert.match((await copy(url, 'duckdb:x.duckdb')).err, /CONFIG_INVALID: SRC: expected %25/)
  }
  const none = await commandLine(join(file, 'below-a-file'), ['copy', file, `duckdb:${folder}/ends.duckdb`])
  assert.equal(none.code, 2)
  assert.match(
    none.err,
    /PERMISSION_DENIED: .*below-a-file: nothing can be written there[\s\S]*NIGHTFREIGHT_HOME=/,
  )
})
