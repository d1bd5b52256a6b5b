import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import type { planJson } from '../../src/cli/plan.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const { url, query } = await freshPostgres()
const ROWS = 20_000

async function source(table: string, rows = ROWS): Promise<void> {
  await query(
    `CREATE TABLE ${table} (id bigint PRIMARY KEY, label text, amount numeric(10,2), seen timestamptz NOT NULL);
     INSERT INTO ${table} SELECT i, 'row ' || i, i / 4.0, '2026-01-01Z' FROM generate_series(1, ${rows}) AS i`,
  )
}

const yaml = (name: string, more = '') => `connections: { here: "${url}" }
extract: { items: { from: here, table: ${name}, key: id } }
load: { ${name}_loaded: { to: here, from: items, key: id${more} } }
resources: { memory: 400MB, threads: 1 }
`
const job = (name: string, more?: string) => smallJob({ after }, name, { 'job.yaml': yaml(name, more) })
const codeOf = ({ error }: { error?: unknown }) => (error as EngineError | undefined)?.code
const content = (table: string) =>
  query(`SELECT id, label, amount FROM ${table} ORDER BY id`) as Promise<{ id: string; label: string }[]>

test('five changed rows of many: shown, loaded exactly so, though the source moves on', async () => {
  const name = 'plan_five'
  await source(name)
  const { folder, cli, run, metadata } = await job(name)
  const first = await cli('plan', folder)
  assert.equal(first.code, 0, first.err)
  assert.match(first.out, /\+ 20,000 to insert {3}~ 0 to update {3}- 0 to delete {3}0 unchanged/)
  assert.match(first.out, /the table does not exist: the load creates it/)
  assert.match(first.out, /\+ id = 1\n +label +row 1\n +amount +0\.25\n/)
  assert.match(first.out, /and 19,995 more to insert/)
  assert.ok(!first.out.includes('\u001b'), 'no colours in a pipe')
  assert.equal(codeOf(await run()), undefined, 'a run ignores the plan')

  await query(`UPDATE ${name} SET label = 'new' WHERE id IN (7, 8); UPDATE ${name} SET amount = NULL WHERE id = 9;
    INSERT INTO ${name} VALUES (30000, 'added', 1, '2026-02-01Z'), (30001, 'added too', 2, '2026-02-01Z')`)
  const text = await cli('plan', folder)
  assert.equal(text.code, 0, text.err)
  assert.match(text.out, /\+ 2 to insert {3}~ 3 to update {3}- 0 to delete {3}19,997 unchanged/)
  assert.match(text.out, /columns changed: label 2, amount 1/)
  assert.match(text.out, /~ id = 7\n {8}label {2}row 7 → new\n/)
  assert.match(text.out, /~ id = 9\n {8}amount {2}2\.25 → NULL\n/)
  assert.match(text.out, /Plan: 2 to insert, 3 to update, 0 to delete\.\nThe load takes about [\d.]+s/)
  const json = await cli('plan', folder, '--json')
  assert.equal(json.code, 0, json.err)
  const plan = JSON.parse(json.out) as ReturnType<typeof planJson>
  assert.equal(plan.status, 'PLANNED')
  const [load] = plan.loads
  const counts = {
    rows: 20_002,
    inserts: 2,
    updates: 3,
    deletes: 0,
    superseded: 0,
    keptGone: 0,
    unchanged: 19_997,
  }
  assert.deepEqual(load!.counts, counts)
  assert.deepEqual(load!.samples.updates[0], {
    key: { id: '7' },
    values: { label: { before: 'row 7', after: 'new' } },
  })
  assert.deepEqual(load!.samples.inserts[1], {
    key: { id: '30001' },
    values: { label: 'added too', amount: '2.00', seen: '2026-02-01 00:00:00+00' },
  })
  assert.ok(load!.estimatedSeconds! > 0)
  assert.match(readFileSync(plan.report, 'utf8'), /<h2>Planned<\/h2>[\s\S]*label 2, amount 1/)
  assert.equal((await metadata.run(plan.run))!.status, 'PLANNED')

  await query(`UPDATE ${name} SET label = 'later'; DELETE FROM ${name} WHERE id = 7`)
  const before = await content(`${name}_loaded`)
  const loaded = await cli('run', folder, '--from-plan', plan.run)
  assert.equal(loaded.code, 0, loaded.err)
  assert.match(loaded.out, / 2 +3 +0 +19,997 +5 equal/)
  const now = await content(`${name}_loaded`)
  const changed = now.filter(
    row => JSON.stringify(row) !== JSON.stringify(before.find(({ id }) => id === row.id)),
  )
  assert.deepEqual(
    changed.map(({ id, label }) => [id, label]),
    [
      ['7', 'new'],
      ['8', 'new'],
      ['9', 'row 9'],
      ['30000', 'added'],
      ['30001', 'added too'],
    ],
  )
  assert.equal((await metadata.run(plan.run))!.status, 'SUCCESS')
  const again = await run({ fromPlan: plan.run }).catch((error: EngineError) => error)
  assert.match((again as EngineError).message, /already loaded/)
})

test('a plan that cannot be loaded as it is is refused, and says why', async () => {
  const name = 'plan_refused'
  await source(name, 10)
  const { run, yaml: write, home } = await job(name)
  const refused = async (fromPlan: string, reason: RegExp) => {
    const before = await query(`SELECT * FROM ${name}_loaded ORDER BY id`)
    const error = (await run({ fromPlan }).then(
      ({ error }) => error,
      error => error,
    )) as EngineError
    assert.equal(error.code, 'PLAN_UNUSABLE', String(error))
    assert.match(error.message, reason)
    assert.deepEqual(await query(`SELECT * FROM ${name}_loaded ORDER BY id`), before)
  }
  /** What is refused once is refused again. */
  const refusedTwice = async (fromPlan: string, reason: RegExp) => {
    await refused(fromPlan, reason)
    await refused(fromPlan, reason)
  }
  await run()
  await refused('20000101T000000-000000', /none of that id/)
  const update = (id: number) => query(`UPDATE ${name} SET label = 'x' WHERE id = ${id}`)
  await update(1)
  const stale = await run({ goal: 'plan' })
  assert.equal(stale.status, 'PLANNED')
  await update(2)
  const other = await run()
  assert.equal(other.outcome.loaded[0]!.updated, 2)
  await refusedTwice(stale.run, new RegExp(`run ${other.run} has loaded it since`))

  await update(3)
  const edited = await run({ goal: 'plan' })
  write(`# changed\n${yaml(name)}`)
  await refused(edited.run, /changed since: job\.yaml/)

  const expired = await run({ goal: 'plan' })
  rmSync(join(home, 'staging', name, expired.run, 'changes'), { recursive: true })
  await refusedTwice(expired.run, /it has expired: .* is no longer staged/)

  const disturbed = await run({ goal: 'plan' })
  await query(`DELETE FROM ${name}_loaded WHERE id = 9`)
  await refusedTwice(disturbed.run, new RegExp(`${name}_loaded: `))
})

test('a plan that fails at the load can be loaded later; an interrupted load is continued by a run', async () => {
  const name = 'plan_again'
  await source(name, 10)
  const { run, metadata } = await job(name, ', schema: manual')
  await run()
  await query(`UPDATE ${name} SET label = 'x' WHERE id < 4`)
  const plan = await run({ goal: 'plan' })
  await query(`ALTER TABLE ${name}_loaded DROP COLUMN label`)
  assert.equal(codeOf(await run({ fromPlan: plan.run })), 'TARGET_INCOMPATIBLE')
  const refused = await run({ goal: 'plan' })
  assert.equal(codeOf(refused), 'TARGET_INCOMPATIBLE', 'another plan says so before anything is loaded')
  assert.match(String(refused.error), /plan_again_loaded: has no column label/)
  await query(`ALTER TABLE ${name}_loaded ADD COLUMN label text; DROP TABLE ${name}`)
  const loaded = await run({ fromPlan: plan.run })
  assert.equal(loaded.error, undefined, String(loaded.error))
  assert.equal(loaded.outcome.loaded[0]!.updated, 3)

  await source(name, 10)
  const second = await run({ goal: 'plan' })
  await metadata.reopen((await metadata.run(second.run))!, `${hostname()}:1:never`)
  assert.equal(codeOf({ error: await run({ goal: 'plan' }).catch(error => error) }), 'RUN_CONFLICT')
  const continued = await run()
  assert.deepEqual([continued.run, continued.resumed, continued.status], [second.run, true, 'SUCCESS'])
})

test('an interrupted plan, or one that is being made, cannot be loaded', async () => {
  const name = 'plan_half'
  await source(name, 10)
  const { run, metadata, folder, cli } = await job(name)
  const plan = await run({ goal: 'plan' })
  await metadata.startRun({
    run: 'R',
    job: name,
    run_at: new Date().toISOString(),
    spec_hash: (await metadata.run(plan.run))!.spec_hash,
    owner: `${hostname()}:1:never`,
    goal: 'plan',
  })
  const error = await run({ fromPlan: 'R' }).catch(error => error)
  assert.match(error.message, /plan R: it is not finished, or was interrupted/)
  const next = await run()
  assert.deepEqual([next.resumed, next.status], [false, 'SUCCESS'], 'a run gives the half plan up')
  assert.equal((await metadata.run('R'))!.status, 'FAILED')
  const conflict = await cli('run', folder, '--from-plan', plan.run, '--fresh')
  assert.equal(conflict.code, 2)
  assert.match(conflict.err, /'--from-plan <id>' cannot be used with option '--fresh'/)
})

test('the last load is the last one, also when an extract has gone since', async () => {
  const name = 'plan_last'
  await source(name, 10)
  await source(`${name}_other`, 1)
  const { run, yaml: write } = await job(name)
  write(yaml(name).replace('{ items:', `{ a_other: { from: here, table: ${name}_other, key: id }, items:`))
  await run()
  write(yaml(name))
  for (const label of ['changed', 'row 1']) {
    await query(`UPDATE ${name} SET label = '${label}' WHERE id = 1`)
    const { outcome } = await run()
    assert.equal(outcome.loaded[0]!.updated, 1, label)
  }
})
