/** What is made of sensitive values (measures, profiles, samples, failures), at every exit. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { receiver } from '../alerts/receivers.ts'
import { freshMariadb } from '../servers.ts'
import { openSite } from '../web/site.ts'
import { smallJob } from './small.ts'

/** E-mail addresses and their domain, salaries of both nights and their first digits, however they are written, and a number as short as a count. */
const CANARY = /canary\d|7.?345.?671|8.?456.?712|7345\.671|84567|52317|x\.example/i

const rows = (salary: number, ids: number[]) =>
  `id,email,salary,pin,team\n${ids.map(id => `${id},canary${id}@x.example,${salary},52317,red\n`).join('')}`

const filesBelow = (folder: string): string[] =>
  readdirSync(folder).flatMap(name => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesBelow(path) : [path]
  })

/** Fails where a canary is in what a job has left: but in data, what corrections are made of, and what the next run compares with. */
function nothingIn(home: string): void {
  for (const path of filesBelow(home)) {
    if (/\.(parquet|duckdb|db|sqlite)(-\w+)?$/.test(path) || path.includes('/job/in/')) continue
    const found = CANARY.exec(readFileSync(path, 'utf8'))
    assert.equal(found, null, `${path} has ${found?.[0]}`)
  }
  const store = new DatabaseSync(filesBelow(home).find(path => /\.(db|sqlite)$/.test(path))!, {
    readOnly: true,
  })
  for (const { name } of store.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all())
    for (const row of store.prepare(`SELECT * FROM "${name}"`).all())
      for (const [column, value] of Object.entries(row)) {
        const isData = name === 'error_records' && ['record', 'correction', 'row_key'].includes(column)
        const text = String(value).replace(/"measured":\{[^}]*\}/, '')
        if (!isData) assert.doesNotMatch(text, CANARY, `${name}.${column}`)
      }
  store.close()
}

test('what is measured, profiled, sampled or fails over sensitive columns is shown at no exit', async t => {
  const hook = await receiver(t)
  const job = await smallJob({ after }, 'exits', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  people:
    from: in
    files: people.csv
    take: all
    key: id
    sensitive: [email, salary, pin]
    schema: { id: INTEGER, email: VARCHAR, salary: BIGINT, pin: INTEGER, team: VARCHAR }
load: { people: { to: wh, from: staff, key: id } }
checks:
  staff:
    email: { matches: "[a-z]+[0-9]*@x[.]example", severity: warn }
    salary: [{ drift: 10%, severity: warn }, { between: [0, 100], severity: warn }]
    pin: [{ drift: 0%, severity: warn }, { one_of: [1], severity: warn }]
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
report: { to: ["kept/{run}.json", "kept/{run}.html"] }
alerts: { channels: { hook: { webhook: "${hook.url}", format: json } }, on: { success: [hook], errors: [hook], failure: [hook] } }
`,
    'staff.sql': 'SELECT id, email, salary, pin, team FROM people',
    'checks/staff/high.sql': `SELECT id, 'has ' || salary || ', pin ' || pin || ', at ' || split_part(email, '@', 2) || ', from ' || left(salary::VARCHAR, 5) || ' on' AS reason FROM staff WHERE id = 3`,
    'checks/most.sql': `SELECT 'warn' AS level, 'the most is ' || max(salary) || ', a pin ' || min(pin) AS message, max(salary) AS value FROM people`,
    'checks/row.sql': `SELECT 'warn' AS level, 'such as ' || min(p)::VARCHAR AS message FROM staff AS p`,
    'checks/star.sql': `WITH s AS (SELECT * FROM staff) SELECT 'warn' AS level, concat('one: ', any_value(COLUMNS('pin'))) AS message FROM s`,
    'checks/later.sql': `SELECT 'warn' AS level, 'it was ' || coalesce(getvariable('last_values')['most']::BIGINT::VARCHAR, 'none') AS message, getvariable('last_values')['most'] AS value`,
    'checks/paid.sql': `SELECT if(count(salary) > 0, 'warn', 'pass') AS level, count(*) || ' are paid' AS message, count(DISTINCT salary) AS value FROM people WHERE salary > 0`,
  })
  const write = (file: string, text: string) => {
    mkdirSync(join(job.folder, file, '..'), { recursive: true })
    writeFileSync(join(job.folder, file), text)
  }
  const lineage = await receiver(t)
  const env = { OPENLINEAGE_URL: new URL('/', lineage.url).href }
  const said = new Map<string, string>()
  const cli = async (...args: string[]) => {
    const ended = await job.cliIn(env, ...args)
    said.set(args.join(' '), ended.output)
    assert.doesNotMatch(ended.output, CANARY, args.join(' '))
    return ended
  }
  write('in/people.csv', rows(7345671, [1, 2, 3]))
  assert.equal((await cli('run', job.folder)).code, 0)
  write('in/people.csv', rows(8456712, [1, 2, 3, 4]))
  const second = await cli('run', job.folder, '--json')
  assert.equal(second.code, 0, second.output)
  await cli('history', 'exits', '--checks')
  const { scores } = JSON.parse((await cli('history', 'exits', '--checks', '--json')).out) as {
    scores: { check?: string; nights: { value?: number; level: string }[] }[]
  }
  const nightsOf = (check: string) => scores.find(each => each.check === check)!.nights
  // Counts are shown, and drift still compares with what nobody saw.
  assert.deepEqual(
    nightsOf('paid').map(({ value }) => value),
    [1, 1],
  )
  assert.deepEqual(
    nightsOf('staff.salary_drift_mean').map(({ value, level }) => [value, level]),
    [
      [undefined, 'pass'],
      [undefined, 'warn'],
    ],
  )
  assert.equal(nightsOf('staff.pin_drift_mean')[1]!.level, 'pass')
  const kept = filesBelow(join(job.folder, 'kept')).filter(path => path.endsWith('.json'))
  const report = readFileSync(kept.sort().at(-1)!, 'utf8')
  assert.match(report, /mean of staff\.salary: masked-\w+, was masked-\w+ in the last run/)
  assert.match(report, /the most is masked-\w+, a pin masked-/)
  assert.match(report, /4 are paid/)

  const show = (...args: string[]) => cli('show', job.folder, 'staff', ...args)
  await Promise.all([show('--json'), show('--diff'), show('--profile', '--json')])
  const [text, number, sum] = await Promise.all([
    show('--where', 'email::INTEGER > 1'),
    show('--where', 'abs(salary::TINYINT) > 1'),
    show('--where', 'salary * salary * salary > 1'),
  ])
  for (const { code, output } of [text, number, sum]) assert.notEqual(code, 0, output)
  await Promise.all([cli('errors', 'list', '--json'), cli('errors', 'export', 'exits', 'staff')])
  await cli('alerts', 'list')
  assert.match(
    said.get('errors list --json')!,
    /has masked-\w+, pin masked-\w+, at masked-\w+, from masked-\w+ on/,
  )

  const site = await openSite(t, { jobs: job.folder, home: job.home })
  const [run] = (await job.metadata.history({ job: 'exits', limit: 1 })).map(each => each.run)
  const [record] = await job.metadata.errors.list({ job: 'exits', limit: 1 })
  for (const path of [
    ...[
      '/',
      '/runs',
      '/jobs/exits',
      '/tables',
      '/tables/exits/wh.people',
      '/lineage',
      '/lineage/exits/staff',
    ],
    ...['/errors', `/errors/${record!.id}`, '/errors.csv', '/sla', '/metrics'],
    ...['', '/report.html', '/report.json'].map(end => `/runs/${run}${end}`),
  ]) {
    const answer = await site.ask(path)
    assert.equal(answer.status, 200, path)
    assert.doesNotMatch(answer.text, CANARY, path)
  }

  // A failure quotes the value, as a number, too.
  write(
    'staff.sql',
    'SELECT id, email, (salary % 100)::INTEGER AS salary, pin::TINYINT AS pin, team FROM people',
  )
  const failed = await cli('run', job.folder)
  assert.notEqual(failed.code, 0)
  assert.doesNotMatch([...hook.bodies, ...lineage.bodies].join('\n'), CANARY)
  assert.match(lineage.bodies.join('\n'), /"eventType":"FAIL"/)
  nothingIn(job.home)
})

const mariadb = await freshMariadb()

test('how far a table with a sensitive key was read is told without the key', async () => {
  await mariadb.query(
    'CREATE TABLE members (birth_no INT PRIMARY KEY, n INT); INSERT INTO members SELECT 7345671000 DIV 1000 - 30000 + seq, seq FROM seq_1_to_30000',
  )
  const job = await smallJob({ after }, 'ranges', {
    'job.yaml': `connections: { in: "${mariadb.url}", wh: "duckdb:wh.duckdb" }
extract: { members: { from: in, key: birth_no, sensitive: birth_no } }
load: { members: { to: wh, from: members, key: birth_no } }
checks: { members: { rows: { max: 1 } } }
chunking: { default_chunk_size: 1000, max_chunk_size: 2000 }
`,
  })
  const { output } = await job.cli('run', job.folder)
  const list = await job.cli('checkpoints', 'list', '--json')
  assert.match(list.out, /"range":"members( after …)?/)
  for (const each of [output, list.out]) assert.doesNotMatch(each, /73[1-4]\d{4}/)
})
