import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { smallJob } from './small.ts'

const HEADER = '-- @buckets 3 by members.id, payments.member_id\n'
const MEMBER_PAID = `SELECT m.id, any_value(m.name) AS name, sum(p.amount)::DECIMAL(18,2) AS paid, count(p.id) AS n
FROM members m LEFT JOIN payments p ON p.member_id = m.id GROUP BY m.id`
const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  members: { from: in, files: members.csv, take: all, key: id, schema: { id: BIGINT, name: VARCHAR } }
  payments: { from: in, files: payments.csv, take: all, key: id, schema: { id: BIGINT, member_id: INTEGER, amount: "DECIMAL(9,2)" } }
load:
  paid: { to: wh, from: member_paid, key: id }
  names: { to: wh, from: names, key: name }
  payments: { to: wh, from: payments, key: id }
checks: { member_paid: { n: { between: [0, 5] } } }
quality: { max_error_rate: 0.5 }
resources: { threads: 1 }
`

const membersOf = (night: number) =>
  `id,name\n${Array.from({ length: 40 }, (_, n) => `${n},${n % 9 === 0 ? 'x' : `m${n % 7}`}`).join('\n')}\n${night === 2 ? '100,new\n' : ''}`
const paymentsOf = (night: number) =>
  `id,member_id,amount\n${Array.from({ length: 90 }, (_, n) => `${n},${n < 8 ? 3 : (n * 7) % 45},${n + night}.50`).join('\n')}\n`

const rejectedOf = ({ outcome }: RunResult) =>
  outcome.tables.find(({ name }) => name === 'member_paid')!.rejected

async function twin(t: TestContext, name: string, header: string) {
  const job = await smallJob(t, name, {
    'job.yaml': YAML,
    'in/members.csv': membersOf(1),
    'in/payments.csv': paymentsOf(1),
    'member_paid.sql': `${header}${MEMBER_PAID}`,
    'names.sql': 'SELECT name, sum(paid)::DECIMAL(18,2) AS paid FROM member_paid GROUP BY name',
  })
  const rows = async () => {
    const duck = await Duck.open({ path: join(job.folder, 'wh.duckdb'), threads: 1 })
    const all = []
    for (const table of ['paid', 'names', 'payments'])
      all.push(await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${table} ORDER BY ALL`))
    duck.close()
    return all
  }
  const nextNight = () => {
    writeFileSync(join(job.folder, 'in/members.csv'), membersOf(2))
    writeFileSync(join(job.folder, 'in/payments.csv'), paymentsOf(2))
  }
  return { ...job, rows, nextNight }
}

test('a model in buckets gives what it gives whole, night after night, in one run and by steps', async t => {
  const whole = await twin(t, 'whole', '')
  const divided = await twin(t, 'divided', HEADER)
  const steps = await twin(t, 'steps', HEADER)
  for (const night of [1, 2]) {
    if (night === 2) for (const job of [whole, divided, steps]) job.nextNight()
    const [one, other] = [await whole.run(), await divided.run()]
    assert.equal(one.error, undefined)
    assert.equal(other.error, undefined)
    assert.equal(rejectedOf(other), rejectedOf(one))
    assert.equal(rejectedOf(one), 1)
    assert.deepEqual(
      other.outcome.changes.map(({ counts }) => counts),
      one.outcome.changes.map(({ counts }) => counts),
    )
    assert.deepEqual(await divided.rows(), await whole.rows())
    const { code, output } = await divided.cli('show', divided.folder, 'member_paid', '--diff', '--json')
    assert.equal(code, 0, output)
    assert.match(output, /"changed":0,"added":0,"removed":0,"unchanged":(39|40),/)
    const step = (name: string) => steps.step(`night ${night}`, name)
    for (const name of ['check', 'plan', 'extract.in']) await step(name)
    if (night === 1) {
      await assert.rejects(step('bucket.1'), /types\.members is not done/)
      await assert.rejects(step('bucket.3'), /has no step bucket\.3/)
    }
    for (const name of ['prepare', 'bucket.2', 'bucket.0']) await step(name)
    if (night === 1) await assert.rejects(step('models'), /bucket\.member_paid\.1 is not done/)
    for (const name of ['bucket.1', 'models', 'load.wh', 'finish']) await step(name)
    assert.deepEqual(await steps.rows(), await whole.rows())
  }
})

test('a model that cannot be made in buckets is refused before anything is read, with the line', async t => {
  const job = await twin(t, 'refused', HEADER)
  const refused = async (sql: string, told: RegExp) => {
    writeFileSync(join(job.folder, 'member_paid.sql'), sql)
    const { code, output } = await job.cli('validate', job.folder)
    assert.equal(code, 2, output)
    assert.match(output, told)
  }
  const grouped = MEMBER_PAID.replace('GROUP BY m.id', 'GROUP BY m.name').replace(
    'm.id, any_value(m.name) AS name',
    'any_value(m.id) AS id, m.name',
  )
  await refused(
    `${HEADER}${grouped}`,
    /member_paid\.sql:3: member_paid cannot be made in buckets: GROUP BY does not contain the key \(members\.id, payments\.member_id\)/,
  )
  await refused(
    `-- @buckets many by members.id\n${MEMBER_PAID}`,
    /member_paid\.sql:1:1: @buckets many by members\.id: is not a number/,
  )
  await refused(`-- @buckets 1 by members.id\n${MEMBER_PAID}`, /2 to 1000 buckets/)
  await refused(`-- @buckets 4 by members\n${MEMBER_PAID}`, /members is not TABLE\.COLUMN/)
  await refused(`-- @buckets 4 by members.id, Members.name\n${MEMBER_PAID}`, /Members is there twice/)
  await refused(
    `-- @buckets 4 by members.ids, payments.member_id\nSELECT m.id FROM members m JOIN payments p ON m.ids = p.member_id`,
    /does not have a column named "ids"/,
  )
  const { error } = await twin(t, 'types', '-- @buckets 3 by members.name, payments.member_id\n').then(
    async other => {
      writeFileSync(
        join(other.folder, 'member_paid.sql'),
        '-- @buckets 3 by members.name, payments.member_id\nSELECT m.name, m.id, p.amount AS paid, 1 AS n FROM members m JOIN payments p ON m.name = p.member_id',
      )
      return other.run()
    },
  )
  assert.match(String(error), /members\.name is TEXT, payments\.member_id is INTEGER/)
})
