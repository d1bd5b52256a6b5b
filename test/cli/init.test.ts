// biome-ignore-all lint/suspicious/noTemplateCurlyInString: names that look like references of job.yaml
/** A job by init: it runs as it is written, and again the next night; nothing that is there is written over. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { Duck, plainName } from '../../engine/sql/duckdb.ts'
import { modelOf } from '../../src/init/job.ts'
import { watermarkOf } from '../../src/init/survey.ts'
import { endOf } from '../commandLine.ts'
import { putProgram } from '../program.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const place = mkdtempSync(join(tmpdir(), 'nightfreight-init-'))
after(() => rmSync(place, { recursive: true }))
const postgres = await freshPostgres()
const mariadb = await freshMariadb()
await postgres.query(`
  CREATE TABLE orders (id int PRIMARY KEY, placed_on date, updated_at timestamptz NOT NULL);
  CREATE INDEX ON orders (updated_at);
  INSERT INTO orders SELECT i, '2026-01-01'::date + i % 7, now() FROM generate_series(1, 100) AS i;
  CREATE TABLE "Order Lines" (a int, b int, PRIMARY KEY (b, a)); INSERT INTO "Order Lines" VALUES (1, 2);
  CREATE VIEW late AS SELECT 1 AS id;
  CREATE TABLE log (line text); CREATE TABLE tmp_x (id int); ANALYZE`)
await mariadb.query(`
  CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted VALUES (1, 1), (2, 2);
  CREATE TABLE empty_one (id int PRIMARY KEY)`)

/** Runs a line of a shell in a project's folder, where `nightfreight` is the program. */
async function line(project: string, text: string) {
  const folder = join(place, project)
  const bin = join(place, 'bin')
  mkdirSync(folder, { recursive: true })
  putProgram(bin)
  const child = spawn('/bin/sh', ['-c', text], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${bin}:${process.env.PATH}`,
      METADATA_URL: '',
      NIGHTFREIGHT_HOME: join(folder, '.nightfreight'),
    },
  })
  return endOf(child)
}

async function good(project: string, text: string): Promise<string> {
  const { code, output } = await line(project, text)
  assert.equal(code, 0, `${text}\n${output}`)
  return output
}

const read = (project: string, path: string) => readFileSync(join(place, project, path), 'utf8')

test('a job of a database runs at once, and the next night loads what changed', async () => {
  const told = await good(
    'shop',
    `nightfreight init queries/shop --from '${postgres.url}' --to duckdb:dw.duckdb --exclude 'tmp_*'`,
  )
  assert.match(
    told,
    /orders +~100 +id; changes by updated_at \(timestamp with time zone, indexed, NOT NULL\)/,
  )
  assert.match(told, /^views, which are taken where --tables names them: late$/m)
  const job = parse(read('shop', 'queries/shop/job.yaml'))
  assert.deepEqual(job.extract, {
    Order_Lines: { table: 'Order Lines', key: ['b', 'a'] },
    log: {},
    orders: { key: 'id' },
  })
  assert.match(await good('shop', 'nightfreight test queries/shop'), /first/)
  const first = await good('shop', 'nightfreight run queries/shop')
  assert.match(first, /orders_by_day +7 +7 +0 +0 +0 +7 equal/)
  assert.match(first, /\.orders +100 +100 +0 +0 +0 +100 equal/)
  await postgres.query(
    `UPDATE orders SET placed_on = '2027-01-01' WHERE id = 7; DELETE FROM orders WHERE id = 8`,
  )
  const second = await good('shop', 'nightfreight run queries/shop')
  assert.match(second, /\.orders +99 +0 +1 +1 +98 +2 equal/)
  await postgres.query('CREATE TABLE refunds (id int PRIMARY KEY); INSERT INTO refunds VALUES (1)')
  const comments = read('shop', 'queries/shop/job.yaml').match(/#.*/g)
  await good('shop', 'nightfreight add table queries/shop refunds')
  assert.deepEqual(read('shop', 'queries/shop/job.yaml').match(/#.*/g), comments)
  const third = await good('shop', 'nightfreight run queries/shop')
  assert.match(third, /refunds +1 +1 +0/)
  assert.doesNotMatch(third, /no such table|no longer staged/)
})

test('what goes into git has no secret, and its workflow is valid without the servers', async () => {
  const { password } = new URL(postgres.url)
  const files = readdirSync(join(place, 'shop'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !/\.nightfreight|\.duckdb$/.test(join(entry.parentPath, entry.name)))
    .map(entry => join(entry.parentPath, entry.name))
  const holding = files.filter(file => readFileSync(file, 'utf8').includes(password))
  assert.deepEqual(holding, [join(place, 'shop/queries/.env')])
  assert.equal(statSync(holding[0]!).mode & 0o777, 0o600)
  execFileSync('git', ['init', '-q'], { cwd: join(place, 'shop') })
  const ignored = execFileSync('git', ['status', '--porcelain', '-uall'], {
    cwd: join(place, 'shop'),
    encoding: 'utf8',
  })
  assert.doesNotMatch(ignored, /\.env$|\.nightfreight|\.duckdb/m)
  assert.match(ignored, /queries\/\.env\.example/)
  const workflow = parse(read('shop', '.github/workflows/nightfreight.yml'))
  const steps = workflow.jobs.validate.steps.flatMap(({ run }: { run?: string }) => run ?? [])
  rmSync(join(place, 'shop/queries/.env'))
  for (const step of steps.filter((step: string) => !step.startsWith('npm'))) await good('shop', step)
})

test('a second job is added to a project, and what is there is kept', async () => {
  const init = (folder: string, url: string) =>
    line('two', `nightfreight init ${folder} --from '${url}' --to lake:./lake --schema raw`)
  assert.equal((await init('jobs/a', postgres.url)).code, 0)
  const before = read('two', 'jobs/connections.yaml')
  writeFileSync(join(place, 'two/.gitignore'), `mine\n${read('two', '.gitignore')}`)
  assert.equal((await init('jobs/b', mariadb.url)).code, 0)
  const after = read('two', 'jobs/connections.yaml')
  assert.equal(after.startsWith(before.trimEnd()), true, after)
  assert.equal(Object.keys(parse(after).connections).length, 3)
  assert.match(read('two', '.gitignore'), /^mine\n\.env\n/)
  const ran = await good('two', 'nightfreight run jobs/b')
  assert.match(ran, /raw\.counted +2 +2/)
  assert.match(ran, /raw\.empty_one +0 +0/)
  const again = await init('jobs/b', mariadb.url)
  assert.equal(again.code, 2)
  assert.match(again.output, /job\.yaml is there already\nhint: .*add table/)
  writeFileSync(join(place, 'two/jobs/.env'), read('two', 'jobs/.env').replace('lake:', 'lake:/other'))
  const other = await init('jobs/c', postgres.url)
  assert.match(other.output, /jobs\/\.env has another LAKE_URL/)
})

test('a table that the job calls otherwise is told so', async t => {
  const own = await freshPostgres(t)
  await own.query('CREATE TABLE "Weird Name" (id int PRIMARY KEY); CREATE TABLE plain (id int PRIMARY KEY)')
  const told = await good(
    'weird',
    `nightfreight init queries/weird --from '${own.url}' --to duckdb:dw.duckdb`,
  )
  assert.match(told, /Weird Name"? \(called Weird_Name\)/)
  assert.doesNotMatch(told, /\(called plain\)/)
})

test('files that are there are not written over, and a name of several lines is none of the job', async () => {
  const put = (file: string, text: string) => {
    mkdirSync(join(place, 'kept', file, '..'), { recursive: true })
    writeFileSync(join(place, 'kept', file), text)
  }
  put('in/notes.csv', '"id","a\n  b: c","d"\n1,2,3\n')
  put('jobs/notes/checks/not_empty.sql', 'mine')
  const init = () => line('kept', 'nightfreight init jobs/notes --from ./in --to duckdb:x.duckdb')
  const refused = await init()
  assert.equal(refused.code, 2)
  assert.match(
    refused.output,
    /jobs\/notes\/checks\/not_empty\.sql is there already, and would be written over\nhint: /,
  )
  assert.deepEqual(readdirSync(join(place, 'kept/jobs/notes')), ['checks'])
  rmSync(join(place, 'kept/jobs/notes/checks/not_empty.sql'))
  const { code, output } = await init()
  assert.equal(code, 0, output)
  assert.deepEqual(Object.keys(parse(read('kept', 'jobs/notes/job.yaml')).extract), ['notes'])
  await good('kept', 'nightfreight run jobs/notes')
})

test('a table is added below what files say that the job includes', async () => {
  await good('adding', `nightfreight init jobs/a --from '${postgres.url}' --to duckdb:x.duckdb --tables log`)
  const [from] = Object.keys(parse(read('adding', 'jobs/connections.yaml')).connections)
  const put = (file: string, text: string) => writeFileSync(join(place, 'adding', file), text)
  const own = 'job: a\ninclude: ../shared.yaml\nextract: { tmp_x: { key: id } }\n'
  put(
    'jobs/shared.yaml',
    `defaults: { extract: { from: ${from} }, load: { to: x, mode: merge } }\nload: { "raw_*": { from: "*" } }\n`,
  )
  put('jobs/a/job.yaml', own)
  for (const file of readdirSync(join(place, 'adding/jobs/a')))
    if (file !== 'job.yaml') rmSync(join(place, 'adding/jobs/a', file), { recursive: true })
  await good('adding', 'nightfreight add table jobs/a orders')
  assert.deepEqual(parse(read('adding', 'jobs/a/job.yaml')).load, undefined)
  assert.deepEqual(parse(read('adding', 'jobs/a/job.yaml')).extract, {
    tmp_x: { key: 'id' },
    orders: { key: 'id' },
  })
  // A glob of other tables loads none of it; and a mode that holds for all is that of the new one.
  put(
    'jobs/shared.yaml',
    `defaults: { extract: { from: ${from} }, load: { to: x, mode: merge } }\nload: { "raw_*": { from: "tmp_*" } }\n`,
  )
  put('jobs/a/job.yaml', own)
  await good('adding', 'nightfreight add table jobs/a orders log')
  assert.deepEqual(parse(read('adding', 'jobs/a/job.yaml')).load, {
    orders: { from: 'orders' },
    log: { from: 'log', mode: 'replace' },
  })
  await good('adding', 'nightfreight validate jobs/a')
})

test('what is missing is said, with the line to type', async () => {
  for (const [args, message] of [
    ['', /--from is missing\nhint: nightfreight init --from/],
    [`--from '${postgres.url}'`, /--to is missing/],
    [`--from '${postgres.url}' --to duckdb:x.duckdb --tables 'nothing*'`, /no table for the job\nhint: /],
    ['--from x.csv --to duckdb:x.duckdb', /SRC: no file is called x\.csv\nhint: Check the path/],
    [`--from '${postgres.url}' --to duckdb:x.duckdb --set header=true`, /--set is for files/],
  ] as const) {
    const { code, output } = await line('none', `nightfreight init ${args} < /dev/null`)
    assert.equal(code, 2, output)
    assert.match(output, message)
  }
})

test('a job of a folder of files runs at once: what they hold is written down, and what is left out is told', async () => {
  const folder = join(place, 'drop/deliveries')
  mkdirSync(folder, { recursive: true })
  const put = (name: string, text: string) => writeFileSync(join(folder, name), Buffer.from(text, 'latin1'))
  put('orders_2026-01-30.csv', 'id;name;amount\n007;Müller;1,50\n')
  put('orders_2026-01-31.csv', 'id;name;amount\n8;Meier;2,25\n')
  put('words.tsv', 'word\nü\n')
  put('returns.json', '[{"id":1,"at":"2026-01-31"}]')
  put('list.doc', 'x')
  const init = 'nightfreight init queries/drop --from ./deliveries --to duckdb:dw.duckdb'
  const refused = await line('drop', init)
  assert.equal(refused.code, 2)
  assert.match(
    refused.output,
    /orders_2026-01-30\.csv: line 2 is not UTF-8\nhint: .*--set orders\.encoding=windows-1252.*Or leave them out: --exclude orders/,
  )
  const vague = await line('drop', `${init} --set encoding=latin1`)
  assert.match(
    vague.output,
    /which of orders, returns, words is written so\?\nhint: Name it: --set orders\.encoding=latin1/,
  )
  const set = '--set orders.encoding=latin1 --set orders.decimal=, --set words.encoding=latin1'
  const told = await good('drop', `${init} ${set}`)
  assert.match(
    told,
    /orders: 2 files, 1 KB\norders_2026-01-30\.csv \(and 1 more\): csv, delimiter ";", latin1\nid +name +amount\nVARCHAR +VARCHAR +DECIMAL\(38,2\)\n─.*\n007 +Müller +1,50/,
  )
  assert.match(told, /returns: 1 file.*\n.*json, utf-8\nid +at\nBIGINT +DATE\n─.*\n1 +2026-01-31/)
  assert.match(told, /In no table: "list\.doc" \(no format has that ending\)\./)
  assert.deepEqual(parse(read('drop', 'queries/drop/job.yaml')).extract, {
    orders: { files: 'orders_*.csv', take: 'all', delimiter: ';', encoding: 'latin1', decimal: ',' },
    returns: { files: 'returns.json', take: 'all' },
    words: { files: 'words.tsv', take: 'all', encoding: 'latin1' },
  })
  assert.match(await good('drop', 'nightfreight test queries/drop'), /1 of 1 case/)
  assert.match(await good('drop', 'nightfreight run queries/drop'), /\.orders +2 +2 +0 /)
  put('orders_2026-02-01.csv', 'id;name;amount\n9;Maier;3,75\n')
  assert.match(await good('drop', 'nightfreight run queries/drop'), /\.orders +3 /)
})

test('files and tables whose names look like globs or references are themselves', async () => {
  const folder = join(place, 'odd/drop')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'a[1].csv'), 'id,note\n1,x\n')
  writeFileSync(join(folder, 'a1.csv'), 'id,other\n1,2026-01-31\n')
  writeFileSync(join(folder, '${HOME}.csv'), 'n\n1\n')
  const told = await good('odd', 'nightfreight init queries/odd --from ./drop --to duckdb:dw.duckdb')
  assert.match(told, /a\[1\]\.csv: csv.*\nid +note\n/)
  assert.match(await good('odd', 'nightfreight run queries/odd'), /\.HOME_? +1 +1 /)
  const one = await good(
    'odd',
    `nightfreight init queries/one --from './drop/a[1].csv' --to duckdb:one.duckdb`,
  )
  assert.match(one, /a1: 1 file,/)
  await postgres.query('CREATE TABLE "odd${HOME}" (id int PRIMARY KEY); CREATE TABLE "more${HOME}" (id int)')
  const init = `nightfreight init queries/refs --from '${postgres.url}' --to duckdb:refs.duckdb --tables 'odd*'`
  await good('odd', init)
  await good('odd', `nightfreight add table queries/refs 'more\${HOME}'`)
  const ran = await good('odd', 'nightfreight run queries/refs')
  for (const name of ['odd_HOME_', 'more_HOME_']) assert.match(ran, new RegExp(`${name} +0 +0 `))
  await postgres.query('DROP TABLE "odd${HOME}", "more${HOME}"')
})

test('a watermark is a timestamp that is called as if it changed, with an index and without NULLs before others', () => {
  const column = (name: string, native: string, nullable = false) => ({
    name,
    native,
    nullable,
    type: native === 'date' ? { kind: 'date' as const } : { kind: 'timestamp' as const, zoned: false },
  })
  const table = (...indexed: string[]) => ({ name: 't', bare: 't', schema: 's', key: [], indexed })
  const columns = [
    column('created_at', 'timestamp'),
    column('updated_at', 'timestamp', true),
    column('modified', 'timestamp'),
  ]
  assert.equal(watermarkOf(table(), columns)?.column, 'modified')
  assert.equal(watermarkOf(table('updated_at'), columns)?.column, 'updated_at')
  assert.equal(
    watermarkOf(table('created_at'), [column('created_at', 'timestamp'), column('updated_on', 'date')]),
    undefined,
  )
})

test("a table and columns whose names are words of SQL's own give a model that runs", async () => {
  const duck = await Duck.open({ threads: 1 })
  try {
    const words = await duck.rows(
      "SELECT keyword_name AS word FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')",
    )
    for (const { word } of words) assert.equal(plainName(String(word)), `"${word}"`)
    const columns = [
      {
        name: 'group',
        native: 'int',
        nullable: false,
        type: { kind: 'int' as const, bits: 32 as const, signed: true },
      },
      { name: 'end', native: 'date', nullable: true, type: { kind: 'date' as const } },
    ]
    const { sql, files } = modelOf([{ extract: 'order', table: 'order', key: ['group'], columns }])
    await duck.run(files['tests/tables.sql']!)
    await duck.run(`INSERT INTO "order" ${files['tests/cases/first/order.sql']}`)
    assert.equal((await duck.rows(sql)).length, 2)
    assert.equal((await duck.rows(files['checks/not_empty.sql']!)).length, 1)
  } finally {
    duck.close()
  }
})

test('who logs in is in no file that is to be kept, however the URL says it', async () => {
  const url = new URL(postgres.url)
  const { username, password } = url
  url.username = url.password = ''
  const secret = 'quoted"word'
  await postgres.query(`CREATE ROLE "${username}_q" LOGIN SUPERUSER PASSWORD '${secret}'`)
  const by = `${url.href}?user=${username}_q&password=${secret}&sslmode=disable`
  mkdirSync(join(place, 'query/queries'), { recursive: true })
  writeFileSync(join(place, 'query/queries/.env'), 'OTHER=1\n', { mode: 0o644 })
  await good('query', `nightfreight init queries/q --from '${by}' --to duckdb:dw.duckdb --tables orders`)
  const kept = read('query', 'queries/.env.example')
  assert.ok(
    !kept.includes('quoted') && !kept.includes(`${username}_q`) && !kept.includes(password || secret),
    kept,
  )
  assert.match(kept, /USER:PASSWORD@HOST\/\w+\?sslmode=disable/)
  assert.equal(statSync(join(place, 'query/queries/.env')).mode & 0o777, 0o600)
  await good('query', 'nightfreight run queries/q')
})
