import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { versionsText } from '../../src/cli/versionsText.ts'
import { compareVersions } from '../../src/workbench/versions.ts'
import { smallJob } from '../jobs/small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: in, files: orders.csv, take: all, key: id, schema: { id: BIGINT, amount: "DECIMAL(12,2)", mail: VARCHAR } }
load:
  paid: { to: wh, from: paid, key: id, sensitive: [mail] }
  sums: { to: wh, from: sums, mode: replace }
quality: { max_error_rate: 1 }
`
const FILES = {
  'job.yaml': YAML,
  'in/orders.csv': 'id,amount,mail\n1,5.00,a@x.org\n2,7.00,b@x.org\n3,9.00,c@x.org\n',
  'paid.sql': 'SELECT id, amount, mail FROM orders',
  'sums.sql': 'SELECT sum(amount)::DECIMAL(12,2) AS total FROM paid',
  'other.sql': '-- @materialised table\nSELECT twice(id) AS id FROM orders',
  '../macros/t.sql': 'CREATE MACRO twice(x) AS x * 2;',
}

test('the models of a branch and of another folder, over the same rows', async t => {
  const job = await smallJob(t, 'versions', FILES)
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', job.home, '-c', 'user.name=a', '-c', 'user.email=a@x.org', ...args])
  git('init', '--quiet', '--initial-branch=main')
  git('add', 'job', 'macros')
  git('commit', '--quiet', '-m', 'first')
  const write = (file: string, text: string) => writeFileSync(join(job.folder, file), text)
  const compare = (...flags: string[]) => job.cli('plan', job.folder, '--compare', ...flags)
  const beside = async (against: string) =>
    versionsText(
      await compareVersions({ folder: job.folder, home: job.home, env: {}, against, runAt: new Date() }),
    )
  await assert.rejects(beside('main'), /nothing is staged/)
  assert.equal((await job.run()).error, undefined)
  writeFileSync(join(job.folder, 'in/orders.csv'), 'is not read')

  assert.match(await beside('main'), /^versions beside main: no row differs\.\n\n3 models are as before/)

  write(
    'paid.sql',
    'SELECT id, amount + id % 2 AS amount, mail, id > 1 AS late FROM orders WHERE id < 3 -- other',
  )
  write('more.sql', 'SELECT id FROM paid')
  rmSync(join(job.folder, 'other.sql'))
  const text = await compare('main', '--exit-code')
  assert.equal(text.code, 10, text.output)
  assert.match(text.out, /4 models differ\./)
  assert.match(
    text.out,
    /\npaid {2}~ 1 changed {3}\+ 0 more {3}- 1 gone {3}1 unchanged\n {2}columns changed: amount 1\n {2}new columns: late\n {2}amount is DECIMAL\(\d+,2\), was DECIMAL\(12,2\)\n/,
  )
  assert.match(text.out, /\nsums {2}~ 0 changed/)
  assert.match(text.out, /\nmore {2}new, 2 rows\n {2}columns: id BIGINT\n {2}id\n {2}──\n {2}1\n {2}2\n/)
  assert.match(text.out, /\nother {2}gone\n/)
  assert.doesNotMatch(text.output, /@x\.org/)
  const markdown = await compare('HEAD', '--markdown')
  assert.match(
    markdown.out,
    /\| `paid` \| 1 \| 0 \| 1 \| 1 \| columns changed: amount 1; new columns: late; /,
  )
  const told = JSON.parse((await compare('main', '--json')).out)
  assert.deepEqual(told.models.map(({ name }: { name: string }) => name).sort(), [
    'more',
    'other',
    'paid',
    'sums',
  ])
  // A check decides which rows are good.
  git('stash', '--quiet')
  rmSync(join(job.folder, 'more.sql'))
  job.yaml(`${YAML}checks: { paid: { amount: { between: [6, null] } } }\n`)
  assert.match(await beside('main'), /\npaid {2}~ 0 changed {3}\+ 0 more {3}- 1 gone {3}2 unchanged\n/)
  job.yaml(
    `${YAML.replace('quality', '  more: { to: wh, from: orders, key: id }\nquality')}checks: { paid: { amount: { between: [6, null] }, mail: { not_null: true, severity: warn } } }\n`,
  )
  writeFileSync(join(job.folder, 'few_left.sql'), 'SELECT id AS order_id FROM paid')
  const comment = await compare('main', '--markdown')
  assert.deepEqual(comment.out.split('\n\n<details>')[0]!.split('\n'), [
    '### Models of `versions` beside `main`',
    '',
    '3 models differ.',
    '',
    '| model | changed | more | gone | unchanged | columns |',
    '|---|---:|---:|---:|---:|---|',
    '| `paid` | 0 | 0 | 1 | 2 | 1 row gone: the check amount_between rejects it |',
    '| `few_left` |  | 2 |  |  | the model is new: order_id BIGINT |',
    '| `sums` | 0 | 1 | 1 | 0 |  |',
    '',
    '| loaded table | |',
    '|---|---|',
    '| `wh.more` | new |',
    '',
    '| check | table | | finds |',
    '|---|---|---|---|',
    '| `amount_between` | `paid` | new | rejects 1 row |',
    '| `mail_not_null` | `paid` | new | finds no row |',
  ])
  rmSync(join(job.folder, 'few_left.sql'))
  job.yaml(YAML)
  write('paid.sql', 'SELECT id, amount + 0.00 AS amount, mail FROM orders WHERE true')
  assert.match(await beside('main'), /paid {2}~ 0 changed.*amount is/s)
  write('paid.sql', 'SELECT * FROM orders')
  assert.match(
    await beside('main'),
    /no row differs\..*The same rows, though they or what they read changed: paid, sums\n/s,
  )
  // The macros that jobs share lie beside them.
  const copy = join(job.home, 'copy/job')
  cpSync(join(job.home, 'job'), copy, { recursive: true })
  cpSync(join(job.home, 'macros'), join(job.home, 'copy/macros'), { recursive: true })
  writeFileSync(join(job.home, 'macros/t.sql'), 'CREATE MACRO twice(x) AS x * 3;')
  assert.match(await beside(copy), /\nother {2}~ .*\+ /)
  assert.match(await beside('main'), /\nother {2}~ .*\+ /)

  writeFileSync(join(copy, 'job.yaml'), `job: another\n${YAML}`)
  for (const [version, says] of [
    [copy, /is the job another, and .* is versions/],
    ['nowhere', /--compare nowhere: git knows no such version/],
    ['--all', /--compare --all: git knows no such version/],
  ] as const)
    await assert.rejects(beside(version), says)
})
