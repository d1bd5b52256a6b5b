import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { receiver } from '../alerts/receivers.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

/** Sets a title, clears the screen, writes the clipboard, turns text around: by escapes of 7 and 8 bits, and returns. */
const STEERING = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u001b]52;c;eA==\u0007\u202eevil\rcome'
const FORMULA = `=HYPERLINK("http://evil.example","x")`
const SCRIPT = '<script>alert(1)</script>'
const VALUES = [STEERING, FORMULA, `+1+cmd|' /C calc'!A0`, '@SUM(A1)', `-2+3${STEERING}`, `\t=1+1`, SCRIPT]

const { url, query } = await freshPostgres()

/** What steers a terminal, in a text of lines. */
const STEERS = /[^\P{Cc}\n\t]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))

/** Fails where an output of the job steers who reads it. */
function harmless(job: SmallJob, ...texts: string[]): void {
  for (const text of texts) assert.equal(STEERS.exec(text), null, JSON.stringify(text))
  for (const path of filesIn(job.home)) {
    if (/\.(parquet|json|db|db-\w+)$/.test(path) || path.startsWith(job.folder)) continue
    const text = readFileSync(path, 'utf8')
    assert.equal(STEERS.exec(text), null, path)
    assert.ok(!path.endsWith('.html') || !text.includes(SCRIPT), path)
  }
}

async function hostileJob(name: string, hook: string, more: { load?: string; setup?: string } = {}) {
  const rows = VALUES.map((value, i) => `(${i}, ${sql(value)})`)
  await query(`${more.setup ?? ''}; CREATE TABLE ${name}_in (id int PRIMARY KEY, v text);
    INSERT INTO ${name}_in VALUES ${rows.join(', ')}`)
  const job = await smallJob({ after }, name, {
    'job.yaml': `connections: { here: "${url}" }
extract: { src: { from: here, table: ${name}_in, key: id } }
load: { ${name}_out: { to: here, from: m, key: v${more.load ?? ''} } }
quality: { max_error_rate: 1 }
retries: { limit: 0 }
resources: { memory: 300MB, threads: 1 }
alerts: { channels: { hook: { webhook: "${hook}" } }, on: { failure: [hook], errors: [hook], success: [hook] } }
`,
    'm.sql': 'SELECT id, v FROM src',
  })
  mkdirSync(join(job.folder, 'checks', 'm'), { recursive: true })
  return job
}

const sql = (text: string) => `'${text.replaceAll("'", "''")}'`

/** Alerts as people get them: JSON, whose texts are shown as they are. */
const textsOf = (bodies: string[]) => bodies.map(body => Object.values(JSON.parse(body)).flat().join('\n'))

test('rows that are rejected steer nobody who looks at them, and are no formulas', async t => {
  const hook = await receiver(t)
  const job = await hostileJob('rejected', hook.url)
  writeFileSync(join(job.folder, 'checks/m/v.sql'), `SELECT *, 'bad v: ' || v AS reason FROM m WHERE id < 6`)
  writeFileSync(
    join(job.folder, 'checks/worst.sql'),
    `SELECT 'warn' AS level, 'worst is ' || max(v) AS message FROM m`,
  )
  const outputs: string[] = []
  const cli = async (...args: string[]) => {
    const { output, out, code } = await job.cli(...args)
    assert.equal(code, 0, output)
    outputs.push(output)
    return out
  }
  await cli('plan', job.folder)
  await cli('plan', job.folder, '--json')
  await cli('run', job.folder)
  await cli('status')
  await cli('history', '--json')
  await cli('alerts', 'list')
  await cli('verify', job.folder)
  await cli('errors', 'list')
  const { records } = JSON.parse(await cli('errors', 'list', '--json')) as {
    records: { id: string; record: { v: string } }[]
  }
  assert.deepEqual(
    records.map(({ record }) => record.v).sort(),
    VALUES.slice(0, 6).sort(),
    'JSON has the values',
  )
  for (const { id } of records) await cli('errors', 'show', id)
  const csv = await cli('errors', 'export', 'rejected', 'm')
  outputs.pop()
  // A cell may hold tabs.
  assert.equal(STEERS.exec(csv.replaceAll('\t', ' ').replaceAll('\r', ' ')), null)
  const cells = csv.match(/(?<=^|,)("(?:[^"]|"")*"|[^,\n]*)/gm)!.map(cell => cell.replace(/^"/, ''))
  assert.deepEqual(
    cells.filter(cell => /^[=+@\t\r-]/.test(cell)),
    [],
  )
  harmless(job, ...outputs, ...textsOf(hook.bodies))
  assert.ok(outputs.join().includes('\\u001b'), 'it is shown, and seen to be what it is')
})

/** What fails with values of others in its message. */
const FAILURES: Record<string, { code: RegExp; setup?: string; model?: string; load?: string }> = {
  cast: { code: /SQL_FAILED/, model: 'SELECT id, v, v::INTEGER AS n FROM src' },
  raised: { code: /SQL_FAILED/, model: 'SELECT id, error(v) AS v FROM src' },
  duplicates: { code: /DUPLICATE_KEY/, model: `SELECT i AS id, v FROM src, range(2) AS r(i)` },
  checked: {
    code: /CONSTRAINT_VIOLATED/,
    setup: 'CREATE TABLE checked_out (id int, v text PRIMARY KEY CHECK (length(v) < 9))',
  },
  long: { code: /DATA_INVALID/, setup: 'CREATE TABLE long_out (id int, v varchar(9) PRIMARY KEY)' },
  quarantined: {
    code: /COMPLETED_WITH_ERRORS/,
    setup: 'CREATE TABLE quarantined_out (id int, v text PRIMARY KEY CHECK (length(v) < 9))',
    load: ', on_bad_row: quarantine',
  },
  altered: {
    code: /VERIFY_FAILED/,
    setup: `CREATE TABLE altered_out (id int, v text PRIMARY KEY);
      CREATE FUNCTION alter_it() RETURNS trigger AS $$ BEGIN NEW.id = -1; RETURN NEW; END $$ LANGUAGE plpgsql;
      CREATE TRIGGER t BEFORE INSERT ON altered_out FOR EACH ROW EXECUTE FUNCTION alter_it()`,
  },
  raised_by_server: {
    code: /\w/,
    setup: `CREATE TABLE raised_by_server_out (id int, v text PRIMARY KEY);
      CREATE FUNCTION raise_it() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no: %', NEW.v; END $$ LANGUAGE plpgsql;
      CREATE TRIGGER t BEFORE INSERT ON raised_by_server_out FOR EACH ROW EXECUTE FUNCTION raise_it()`,
  },
}

for (const [name, { code, setup = '', model, load }] of Object.entries(FAILURES))
  test(`a failure that quotes values of others steers nobody: ${name}`, async t => {
    const hook = await receiver(t)
    const job = await hostileJob(name, hook.url, { setup, ...(load && { load }) })
    if (model) writeFileSync(join(job.folder, 'm.sql'), model)
    const outputs: string[] = []
    for (const args of [
      ['run', job.folder],
      ['run', job.folder, '--debug'],
      ['run', job.folder, '--json'],
      ['status'],
      ['errors', 'list'],
    ])
      outputs.push((await job.cli(...args)).output)
    assert.match(outputs.join('\n'), code)
    harmless(job, ...outputs, ...textsOf(hook.bodies))
  })

test('names of files and columns steer nobody', async t => {
  const hook = await receiver(t)
  const job = await smallJob({ after }, 'names', {
    'job.yaml': `connections: { drop: "file:in", wh: "duckdb:wh.duckdb" }
extract: { src: { from: drop, files: "*.csv", take: all, key: id } }
load: { m: { to: wh, from: src, key: id } }
retries: { limit: 0 }
resources: { memory: 300MB, threads: 1 }
alerts: { channels: { hook: { webhook: "${hook.url}" } }, on: { failure: [hook], errors: [hook], success: [hook] } }
`,
  })
  mkdirSync(join(job.folder, 'in'))
  const steering = STEERING.replaceAll('/', '').replaceAll('\r', '')
  const outputs: string[] = []
  const run = async () => outputs.push((await job.cli('run', job.folder)).output)
  writeFileSync(join(job.folder, 'in', 'a.csv'), `id,"x${steering}"\n1,2\n`)
  await run()
  writeFileSync(join(job.folder, 'in', `${steering}.csv`), `id,"y${steering}"\n1\n2,3,4,5\n`)
  await run()
  outputs.push((await job.cli('status')).output, (await job.cli('errors', 'list')).output)
  harmless(job, ...outputs, ...textsOf(hook.bodies))
})

test('nothing of the state is for others to read, whatever the mask of who starts it', async t => {
  const mask = process.umask(0)
  try {
    const hook = await receiver(t)
    const job = await hostileJob('private', hook.url)
    writeFileSync(join(job.folder, 'checks/m/v.sql'), `SELECT *, 'bad v' AS reason FROM m WHERE id = 1`)
    const home = join(job.home, 'state')
    mkdirSync(home, { mode: 0o755 })
    const csv = join(home, 'bad.csv')
    // What comes first makes the folders.
    assert.match((await job.cliIn({ NIGHTFREIGHT_HOME: home }, 'verify', job.folder)).output, /NOT_STAGED/)
    assert.equal(statSync(join(home, 'staging')).mode & 0o077, 0)
    for (const args of [
      ['plan', job.folder],
      ['run', job.folder],
      ['errors', 'export', 'private', 'm', '--out', csv],
      ['copy', url, `duckdb:${home}/copied.duckdb`, '--tables', 'private_in'],
      ['verify', job.folder],
      ['gc'],
    ]) {
      const { code, output } = await job.cliIn({ NIGHTFREIGHT_HOME: home }, ...args)
      assert.equal(code, 0, output)
    }
    const isOpen = (path: string) => (statSync(path).mode & 0o077) !== 0
    // Whoever may not pass through a folder sees nothing below it.
    const seen = (folder: string): string[] =>
      readdirSync(folder)
        .map(name => join(folder, name))
        .filter(isOpen)
        .flatMap(path => (statSync(path).isDirectory() ? [path, ...seen(path)] : [path]))
    assert.deepEqual(seen(home), [join(home, 'copied.duckdb')], 'but for a table that was copied')
  } finally {
    process.umask(mask)
  }
})
