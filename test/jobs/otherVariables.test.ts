import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { smallJob } from './small.ts'

const yaml = (region: string) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
vars: { region: "${region}", other: 1 }
extract: { src: { from: in, files: "*.csv", take: all, key: id, schema: { id: INTEGER } } }
load: { out: { to: wh, from: out, key: id } }
resources: { threads: 1 }
`

const reference = (name: string) => `\${${name}}`

const OUT = "-- @materialised table\nSELECT id, getvariable('region') AS region FROM src"

async function jobOf(t: TestContext, name: string, files: Record<string, string>) {
  const job = await smallJob(t, name, { 'in/a.csv': 'id\n1\n2\n', 'out.sql': OUT, ...files })
  const regions = async () => {
    const duck = await Duck.open({ path: join(job.folder, 'wh.duckdb'), threads: 1 })
    try {
      return (await duck.rows('SELECT DISTINCT region FROM out')).map(({ region }) => String(region))
    } finally {
      duck.close()
    }
  }
  return { ...job, regions }
}

for (const [what, files] of [
  ['itself', {}],
  [
    'by a macro',
    {
      'out.sql': '-- @materialised table\nSELECT id, here(id) AS region FROM src',
      '../macros/here.sql': "CREATE MACRO here(x) AS getvariable('region');",
    },
  ],
  ['by a name that it works out', { 'out.sql': OUT.replace("'region'", "concat('reg', 'ion')") }],
  [
    'through a view',
    {
      'out.sql': '-- @materialised table\nSELECT id, region FROM seen',
      'seen.sql': "SELECT id, getvariable('region') AS region FROM src",
    },
  ],
] as [string, Record<string, string>][])
  test(`resumed with changes accepted, a model that asks for a variable ${what} is made anew`, async t => {
    const job = await jobOf(t, `vars_${what.replaceAll(' ', '_')}`, { 'job.yaml': yaml('emea'), ...files })
    const { run, error } = await job.run({ until: 'model.out' })
    assert.equal(error, undefined)
    job.yaml(yaml('apac'))
    assert.equal((await job.run({ resume: run, acceptChanges: true })).error, undefined)
    assert.deepEqual(await job.regions(), ['apac'])
  })

test('a model that asks for no variable that changed is done already', async t => {
  const job = await jobOf(t, 'vars_others', { 'job.yaml': yaml('emea') })
  const { run } = await job.run({ until: 'model.out' })
  job.yaml(yaml('emea').replace('other: 1', 'other: 2'))
  const resumed = await job.cli('resume', run, '--accept-changes')
  assert.equal(resumed.code, 0, resumed.err)
  assert.match(resumed.err, /model\.out: already done/)
})

const refusedAs = (code: string, message: RegExp) => (error: EngineError) => {
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

test('a run goes on with what references give now only where that is accepted', async t => {
  const job = await jobOf(t, 'vars_given', { 'job.yaml': yaml(reference('REGION')) })
  const given = (REGION: string) => ({ env: { REGION } })
  const { run } = await job.run({ ...given('emea'), until: 'model.out' })
  await assert.rejects(
    job.run({ ...given('apac'), resume: run }),
    refusedAs('JOB_CHANGED', /changed since it began: vars\.region$/),
  )
  const accepted = await job.run({ ...given('apac'), resume: run, acceptChanges: true })
  assert.equal(accepted.error, undefined)
  assert.deepEqual(await job.regions(), ['apac'])

  const plan = await job.run({ ...given('emea'), goal: 'plan' })
  await assert.rejects(
    job.run({ ...given('apac'), fromPlan: plan.run }),
    refusedAs('PLAN_UNUSABLE', /changed since: vars\.region$/),
  )
  assert.equal((await job.run({ ...given('emea'), fromPlan: plan.run })).error, undefined)
  assert.deepEqual(await job.regions(), ['emea'])
})

test('a run is of what references gave its extracts when it began, wherever their systems are now', async t => {
  const job = await jobOf(t, 'vars_extract', {})
  job.yaml(
    yaml('emea')
      .replace('"*.csv"', `"${reference('FILES')}"`)
      .replace('file:in', reference('PLACE')),
  )
  const begun = await job.run({ env: { FILES: 'a*', PLACE: 'file:in' }, until: 'model.out' })
  assert.equal(begun.error, undefined)
  await assert.rejects(
    job.run({ env: { FILES: 'b*', PLACE: 'file:in' }, resume: begun.run }),
    refusedAs('JOB_CHANGED', /changed since it began: extract\.src\.files$/),
  )
  const resumed = await job.run({ env: { FILES: 'a*', PLACE: 'file:./in' }, resume: begun.run })
  assert.equal(resumed.error, undefined)
})
