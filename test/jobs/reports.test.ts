import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ReportData } from '../../src/report/data.ts'
import { openStore } from '../../src/stores/open.ts'
import { s3Access, s3Config } from '../../src/stores/s3/settings.ts'
import { mailServer } from '../alerts/receivers.ts'
import { startS3 } from '../s3.ts'
import { notesInto, type SmallJob, smallJob } from './small.ts'

const s3 = await startS3()
after(() => s3.stop())
await s3.bucket('reports')

const yaml = (report: string, channels = '{}') => `
connections: { in: { url: "file:///files" }, out: "duckdb:out.duckdb" }
extract: { people: { from: in, files: "*.csv" } }
load: { people: { to: out, from: people, key: id } }
alerts: { channels: ${channels} }
report: ${report}
`

async function job(name: string, report: string, channels?: string): Promise<SmallJob> {
  const made = await smallJob({ after }, name, {
    'drop/people.csv': 'id,name\n1,Ada\n2,Grace\n',
    'checks/people/name.sql': "SELECT id, 'no name' AS reason FROM people WHERE name IS NULL OR name = ''",
  })
  made.yaml(yaml(report, channels).replace('file:///files', `file://${join(made.folder, 'drop')}`))
  return made
}

test('a run’s report is kept in a folder and in a bucket, and mailed, as the job says', async t => {
  const { mails, url } = await mailServer(t, { secure: true })
  const bucket = { url: 's3://test:test@reports', endpoint: s3.endpoint }
  const made = await job(
    'kept',
    `{ to: ["reports/{date}/{job}-{run}.json", "${bucket.url}/quality/{date}/latest.html"], endpoint: "${s3.endpoint}", mail: team }`,
    `{ team: { email: [team@example.org], smtp: "${url()}" } }`,
  )
  const { run, error } = await made.run({ runAt: new Date('2026-03-01T02:00:00Z') })
  assert.equal(error, undefined)
  const told = JSON.parse(
    readFileSync(join(made.folder, `reports/2026-03-01/kept-${run}.json`), 'utf8'),
  ) as ReportData
  assert.deepEqual([told.run, told.status, told.loads[0]!.inserted], [run, 'succeeded', 2])
  const store = openStore({ s3: s3Access(s3Config.parse(bucket), 'test') })
  const page = String(await store.get('quality/2026-03-01/latest.html'))
  assert.match(page, new RegExp(`<title>kept – succeeded – ${run}</title>`))
  assert.deepEqual(mails[0]!.to, ['team@example.org'])
  assert.match(mails[0]!.text, /^Subject: \[nightfreight\] report: kept succeeded\r$/m)
  assert.match(mails[0]!.text, new RegExp(`filename=kept-${run}.html`))

  // The next night takes the place of the bucket's, and fails: it is reported all the same.
  writeFileSync(join(made.folder, 'drop/later.csv'), 'id,name\n3,\n')
  const second = await made.run({ runAt: new Date('2026-03-01T03:00:00Z') })
  assert.notEqual(second.error, undefined)
  assert.match(String(await store.get('quality/2026-03-01/latest.html')), /<title>kept – failed/)
  assert.match(mails[1]!.text, /^Subject: \[nightfreight\] report: kept failed\r$/m)
})

test('a report that cannot be kept or mailed is told, without secrets; the run ends as it ends', async () => {
  const made = await job(
    'lost',
    `{ to: ["drop/people.csv/report.html", "s3://test:test@nowhere/report.html"], endpoint: "${s3.endpoint}", mail: team }`,
    '{ team: { email: team@example.org, smtp: "smtp://night:T0PS3CRET@127.0.0.1:1" } }',
  )
  const notes: string[] = []
  const { error, status } = await made.run({ progress: notesInto(notes) })
  assert.deepEqual([error, status], [undefined, 'SUCCESS'])
  for (const wanted of [
    /^the report is not kept at .*people\.csv\/report\.html: /,
    /^the report is not kept at report\.html: .*nowhere/,
    /^the report is not mailed to team: connect ECONNREFUSED/,
  ])
    assert.equal(notes.filter(note => wanted.test(note)).length, 1, `${wanted} of ${notes.join('\n')}`)
  assert.doesNotMatch(notes.join('\n'), /T0PS3CRET/)
})

for (const [report, message] of [
  ['{ to: report.pdf }', /report\.to: expected a file whose name ends with \.html or \.json/],
  ['{ to: "{day}.html" }', /expected \{job\}, \{run\} or \{date\}, not \{day\}/],
  ['{ mail: teem }', /report\.mail: no channel "teem" of alerts\.channels sends e-mail/],
] as const)
  test(`refused: report: ${report}`, async () => {
    const { cli, folder } = await job('refused', report)
    const { code, output } = await cli('validate', folder)
    assert.equal(code, 2)
    assert.match(output, message)
  })
