import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { smallJob } from './small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: in, files: orders.csv, take: all, key: id, schema: { id: BIGINT, currency: VARCHAR, amount: "DECIMAL(12,2)" } }
seeds: { rates: { rate: "DECIMAL(12,6)" } }
load:
  euros: { to: wh, from: euros, key: id }
  rates: { to: wh, from: rates, key: currency, mode: replace }
checks: { rates: { rate: { between: [0, 10] } }, orders: { currency: { in: rates.currency, severity: stop } } }
quality: { max_error_rate: 0.5 }
`
const FILES = {
  'job.yaml': YAML,
  'in/orders.csv': 'id,currency,amount\n1,EUR,1.00\n2,USD,2.00\n',
  // As Excel writes it.
  'seeds/rates.csv':
    '\ufeffcurrency,code,rate,since,note\r\nEUR,007,1,2024-01-31,"it\'s, ours"\r\nUSD,840,0.9217,,""\r\nXXX,999,11,2024-02-29,"two\nlines"\r\n',
  'euros.sql':
    'SELECT id, (amount * rate)::DECIMAL(12,2) AS euros, code, since, note FROM orders JOIN rates USING (currency)',
}

describe('a seed is a table like others', () => {
  test('typed, checked, joined, loaded, shown, tested; a run follows its changes', async () => {
    const job = await smallJob({ after }, 'seeds', FILES)
    const first = await job.run()
    assert.equal(first.error, undefined)
    const rows = async (sql: string) => {
      const duck = await Duck.open({ path: join(job.folder, 'wh.duckdb'), threads: 1 })
      try {
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    }
    assert.deepEqual(
      await rows(
        'SELECT id, euros::VARCHAR AS euros, code, since::VARCHAR AS since, note FROM euros ORDER BY id',
      ),
      [
        { id: 1, euros: '1.00', code: '007', since: '2024-01-31', note: "it's, ours" },
        { id: 2, euros: '1.84', code: '840', since: null, note: '' },
      ],
    )
    // The row that its check rejects is not loaded.
    assert.deepEqual(await rows('SELECT currency FROM rates ORDER BY ALL'), [
      { currency: 'EUR' },
      { currency: 'USD' },
    ])
    const [{ column_type: type }] = (await rows('DESCRIBE SELECT rate FROM rates')) as [
      { column_type: string },
    ]
    assert.equal(type, 'DECIMAL(12,6)')

    const show = await job.cli('show', job.folder, 'rates')
    assert.match(show.out, /USD.*840.*0\.921700/)
    const made = await job.cli('export', job.folder)
    assert.match(made.out, /CREATE OR REPLACE VIEW "rates" AS/)

    writeFileSync(
      join(job.folder, 'seeds/rates.csv'),
      'currency,code,rate,since,note\nEUR,007,1,2024-01-31,x\nUSD,840,0.5,,\n',
    )
    const plan = await job.cli('plan', job.folder, '--exit-code')
    assert.equal(plan.code, 10)
    assert.equal((await job.run()).error, undefined)
    assert.deepEqual(await rows('SELECT euros::VARCHAR AS euros FROM euros WHERE id = 2'), [
      { euros: '1.00' },
    ])
    const again = await job.cli('plan', job.folder, '--exit-code')
    assert.equal(again.code, 0)
  })

  test('needs no extract', async () => {
    const job = await smallJob({ after }, 'seeds_alone', {
      'job.yaml':
        'connections: { wh: "duckdb:wh.duckdb" }\nload: { codes: { to: wh, from: codes, key: code } }\n',
      'seeds/codes.csv': 'code\na\nb\n',
    })
    assert.equal((await job.run()).error, undefined)
    const second = await job.run()
    assert.equal(second.error, undefined)
    rmSync(join(job.folder, 'wh.duckdb'))
  })
})

const WRONG: [what: string, files: Record<string, string>, says: RegExp][] = [
  [
    'a value of another type',
    { 'seeds/rates.csv': 'currency,rate\nEUR,1\nUSD,"two\nlines"\nGBP,1.1234567\n' },
    /seeds\/rates\.csv:3:1: rate: two\nlines is no DECIMAL\(12,6\), nor is 1 other value/,
  ],
  [
    'semicolons',
    { 'seeds/rates.csv': 'currency;rate\nEUR;1\n' },
    /seeds\/rates\.csv:1:1: its columns are parted by ;/,
  ],
  [
    'a row too wide',
    { 'seeds/rates.csv': 'a,rate\n1,2\n1,2,3\n' },
    /seeds\/rates\.csv:3:1: has 3 values, where the first line has 2/,
  ],
  ['a name twice', { 'seeds/rates.csv': 'rate,RATE\n1,2\n' }, /two columns are called RATE/],
  ['no name', { 'seeds/rates.csv': 'rate,\n1,2\n' }, /column 2 has no name/],
  ['an empty file', { 'seeds/rates.csv': '' }, /seeds\/rates\.csv: is empty/],
  ['a quote amiss', { 'seeds/rates.csv': 'rate\n"1\n' }, /line 2 of the CSV has a quote amiss/],
  ['another ending', { 'seeds/codes.tsv': 'a\n' }, /seeds\/codes\.tsv: is read by nobody/],
  [
    'types of no file',
    { 'job.yaml': YAML.replace('rates: { rate:', 'rate: { rate:') },
    /seeds\.rate: there is no file seeds\/rate\.csv; did you mean "rates"/,
  ],
  [
    'a type of no column',
    { 'job.yaml': YAML.replace('{ rate: "DECIMAL', '{ rat: "DECIMAL') },
    /seeds\.rates\.rat: seeds\/rates\.csv has no such column; did you mean "rate"/,
  ],
  [
    'a name that is taken',
    { 'seeds/orders.csv': 'a\n1\n' },
    /model "orders" has the name of extract "orders"/,
  ],
  [
    'one that is too large',
    { 'seeds/big.csv': `a\n${'x\n'.repeat(600_000)}` },
    /seeds\/big\.csv: has 1200002 bytes; a seed has at most 1048576[\s\S]*In connections: large: "file:large"; in extract: big: \{ from: large, files: "big\.csv", take: all \}/,
  ],
]

describe('what is wrong with a seed is said of its file', { concurrency: 2 }, () => {
  for (const [at, [what, files, says]] of WRONG.entries())
    test(what, async () => {
      const job = await smallJob({ after }, `seeds_wrong_${at}`, { ...FILES, ...files })
      const { code, err } = await job.cli('validate', job.folder)
      assert.equal(code, 2)
      assert.match(err, says)
    })
})
