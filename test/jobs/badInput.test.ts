import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { ErrorCode } from '../../engine/errors.ts'
import { writeCorrections } from '../../src/demo/sample/corrections.ts'
import { loadContacts, loadMembers } from '../../src/demo/sample/load.ts'
import { paymentFeed } from '../../src/demo/sample/payment.ts'
import { type Feed, type Mischief, startPaymentApi } from '../../src/demo/servers/paymentApi.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const MEMBERS = 1000
const SEED = 7
const TOKEN = 'Hush-api-token'
const WRONG = 'Hush "Pässwörd": 9/11@home'
const ROOT = join(import.meta.dirname, '../..')

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-bad-input-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const legacy = await freshMariadb()
const crm = await freshPostgres()
const warehouse = await freshPostgres()
const feed = paymentFeed(MEMBERS, SEED)
const api = await startApi(feed)
const htmlApi = await startApi(feed, { htmlAtPage: 2 })
const negativeApi = await startApi({ ...feed, at: position => ({ ...feed.at(position), amount: '-1.00' }) })
const stopped = await startApi(feed)
await stopped.stop()

async function startApi(payments: Feed, mischief?: Mischief) {
  const server = await startPaymentApi({ payments: () => payments, token: TOKEN, mischief })
  after(() => server.stop())
  return server
}

const ENV = {
  LEGACY_DB_URL: legacy.url,
  CRM_DB_URL: crm.url,
  PAYMENT_API_URL: api.url,
  PAYMENT_API_TOKEN: TOKEN,
  DROPS_URL: pathToFileURL(join(folder, 'drops')).href,
  WAREHOUSE_URL: warehouse.url,
}
const SECRETS = [
  ...['Hush', 'Pässwörd', encodeURIComponent('Pässwörd'), '11@home', encodeURIComponent('11@home')],
  ...[legacy, crm, warehouse].map(({ url }) => new URL(url).password),
]

interface Input {
  /** A file of the job, a text in it, and what stands there instead. */
  edit?: [file: string, from: string, to: string]
  env?: Partial<typeof ENV>
}

const changed = (url: string, change: Partial<URL>) => Object.assign(new URL(url), change).href
const locked = (url: string) => changed(url, { password: encodeURIComponent(WRONG) })
const down = (url: string) => changed(url, { port: String(stopped.port) })
const edit = (file: string, from: string, to: string): Input => ({ edit: [file, from, to] })
const env = (variables: Input['env']): Input => ({ env: variables })

/** `says` begins the message: where, and what is wrong; `hint` is in the message's end or after it. */
type Case = [name: string, input: Input, exit: number, code: ErrorCode, says: string, hint: RegExp]

// biome-ignore format: a table reads better with a case's input and its failure on a line each
const CASES: Case[] = [
  ['an unknown key', edit('job.yaml', 'insert_only:', 'insert_onyl:'),
    2, 'CONFIG_INVALID', 'job.yaml:61:5: unknown key "insert_onyl"', /did you mean "insert_only"/],
  ['a URL of an unknown kind', env({ LEGACY_DB_URL: locked(legacy.url).replace('mysql', 'msyql') }),
    2, 'CONFIG_INVALID', 'job.yaml:5:11: connections.legacy: no connector for', /did you mean "mysql"/],
  ['a URL that lacks a slash', env({ WAREHOUSE_URL: locked(warehouse.url).replace('//', '/') }),
    2, 'CONFIG_INVALID', 'job.yaml:9:3: connections.warehouse.url', /expected a URL such as postgres:\/\//],
  ['a URL that does not parse', env({ CRM_DB_URL: `https://user:${WRONG}@127.0.0.1/` }),
    2, 'CONFIG_INVALID', 'job.yaml:6:3: connections.crm.url: Invalid URL', /found a string/],
  ['a model that does not parse', edit('members_clean.sql', 'LEFT JOIN contacts', 'LEFT JION contacts'),
    2, 'MODEL_INVALID', 'members_clean.sql:12: syntax error at or near "JION"', /LEFT JION .*\n +\^/],
  ['a model that reads no known table', edit('members_clean.sql', 'JOIN contacts_latest', 'JOIN newest'),
    2, 'MODEL_INVALID', 'members_clean.sql:12: reads newest, which nobody provides', /contacts_latest/],
  ['a model of a column that is not there', edit('members_clean.sql', 'tidy(first_name)', 'tidy(given_name)'),
    2, 'MODEL_INVALID', 'members_clean.sql:16: Referenced column "given_name"', /there are: .*\bfirst_name\b/],
  ['a wrong password of the legacy system', env({ LEGACY_DB_URL: locked(legacy.url) }),
    2, 'AUTH_FAILED', 'legacy: Access denied for user', /Check the user, the password/],
  ['a wrong password of the CRM', env({ CRM_DB_URL: locked(crm.url) }),
    2, 'AUTH_FAILED', 'crm: password authentication failed', /Check .* user and password/],
  ['a wrong password of the warehouse', env({ WAREHOUSE_URL: locked(warehouse.url) }),
    2, 'AUTH_FAILED', 'warehouse: password authentication failed', /Check .* user and password/],
  ['a wrong token', env({ PAYMENT_API_TOKEN: WRONG.replace('ä', 'a').replace('ö', 'o') }),
    2, 'AUTH_FAILED', 'payment_api /payments: status 401', /Check token of the connection payment_api/],
  ['a missing MariaDB table', edit('job.yaml', 'table: members', 'table: membres'),
    2, 'TABLE_MISSING', 'legacy: there is no table membres', /Did you mean members/],
  ['a missing Postgres table', edit('job.yaml', 'table: contacts', 'table: contcats'),
    2, 'TABLE_MISSING', 'crm.contcats: there is no such table', /Did you mean contacts/],
  ['a missing key column', edit('job.yaml', 'key: contact_id', 'key: contact_no'),
    2, 'COLUMN_MISSING', 'crm.contacts: key column contact_no is not a column', /Its columns: contact_id/],
  ['a legacy system that is down', env({ LEGACY_DB_URL: down(legacy.url) }),
    75, 'CONNECTION_FAILED', 'legacy: connect ECONNREFUSED', /Check host and port/],
  ['a payment API that is down', env({ PAYMENT_API_URL: stopped.url }),
    75, 'CONNECTION_FAILED', 'payment_api /health: cannot reach 127.0.0.1', /Check the url .* payment_api/],
  ['a warehouse that is down', env({ WAREHOUSE_URL: down(warehouse.url) }),
    75, 'CONNECTION_FAILED', 'warehouse: connect ECONNREFUSED', /Check host and port/],
  ['a page of HTML in place of payments', env({ PAYMENT_API_URL: htmlApi.url }),
    4, 'RESPONSE_INVALID', 'payment_api /payments page 2: the answer is not JSON', /maintenance page/],
  ['too many bad rows', env({ PAYMENT_API_URL: negativeApi.url }),
    3, 'QUALITY_GATE', 'error rate 100.00 % of payments_facts', /over the limit of 5.00 %: amount_negative.*\nNothing was loaded/],
]

describe('bad input stops the run with one message, and nothing is loaded', { concurrency: 2 }, () => {
  let loaded: object[]

  before(async () => {
    await loadMembers(legacy.url, MEMBERS, SEED)
    await loadContacts(crm.url, MEMBERS, SEED)
    await writeCorrections(join(folder, 'drops'), MEMBERS, SEED)
    const { exit, output } = await run('good input', {})
    assert.equal(exit, 0, output)
    loaded = await warehouseContent()
  })

  for (const [name, input, exit, code, says, hint] of CASES)
    test(name, async () => {
      const ended = await run(name, input)
      const errors = ended.events.filter(({ event }) => event === 'error')
      assert.equal(errors.length, 1, ended.output)
      const [error] = errors
      assert.deepEqual([ended.exit, error.exit, error.code], [exit, exit, code], ended.output)
      const message: string = error.message.replace(`${ended.job}/`, '')
      assert.ok(message.startsWith(says), message)
      assert.match(`${message}\n${error.hint}`, hint)
      assert.deepEqual(await warehouseContent(), loaded)
      assert.deepEqual(history(ended.home), [
        { job_name: 'member_data_warehouse_sync', status: 'FAILED', code },
      ])
      for (const secret of SECRETS) {
        assert.ok(!ended.output.includes(secret), ended.output)
        for (const file of filesBelow(ended.home)) assert.ok(!readFileSync(file).includes(secret), file)
      }
    })
})

async function run(name: string, input: Input) {
  const own = join(folder, name.replaceAll(' ', '-'))
  const job = join(own, 'queries/members')
  const home = join(own, 'home')
  cpSync(join(ROOT, 'queries'), join(own, 'queries'), { recursive: true })
  // A system that is down is asked again, which need not take minutes here.
  appendFileSync(join(job, 'job.yaml'), '\nretries: { delay: 10ms }\n')
  if (input.edit) {
    const [file, from, to] = input.edit
    const text = readFileSync(join(job, file), 'utf8')
    assert.ok(text.includes(from), `${file} has no ${from}`)
    writeFileSync(
      join(job, file),
      text.replace(from, () => to),
    )
  }
  const command = [join(ROOT, 'src/main.ts'), 'run', job, '--json', '--at', '2025-12-01T02:00:00Z']
  const options = { env: { PATH: process.env.PATH, NIGHTFREIGHT_HOME: home, ...ENV, ...input.env } }
  const { promise, resolve } = Promise.withResolvers<string>()
  const child = execFile(process.execPath, command, options, (_, stdout, stderr) => resolve(stdout + stderr))
  const output = await promise
  const events = output
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  return { exit: child.exitCode, output, events, home, job }
}

/** Every table of the warehouse, also the loader's own, with a digest of its rows. */
async function warehouseContent(): Promise<object[]> {
  const tables = await warehouse.query<{ name: string }>(
    `SELECT schemaname || '.' || tablename AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  )
  const digests = tables.map(
    ({ name }) => `SELECT '${name}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) FROM ${name} AS t`,
  )
  return warehouse.query(digests.join(' UNION ALL '))
}

function history(home: string): object[] {
  const metadata = new DatabaseSync(join(home, 'metadata.db'), { readOnly: true })
  const rows = metadata
    .prepare(`SELECT job_name, status, error ->> 'code' AS code FROM batch_job_history`)
    .all()
  metadata.close()
  return rows.map(row => ({ ...row }))
}

const filesBelow = (path: string) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
