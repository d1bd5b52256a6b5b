import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { receiver } from '../alerts/receivers.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const MARKER = /mark[a-z]*\d/i

/** Where values may be: the source, what is staged, and the quarantine that corrections are made of. */
const isData = (path: string) => path.endsWith('.parquet') || path.includes('/job/in/')
const QUARANTINE = ['record', 'correction', 'row_key']

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesIn(path) : [path]
  })
}

/** Fails where a marker is in a text, or in any file of the job's home but {@link isData}. */
function nothingIn(job: SmallJob, ...texts: string[]): void {
  for (const text of texts) assert.doesNotMatch(text, MARKER)
  for (const path of filesIn(job.home)) {
    if (isData(path) || /\.(db|sqlite)(-\w+)?$/.test(path)) continue
    const found = MARKER.exec(readFileSync(path, 'latin1'))
    assert.equal(found, null, `${path} has ${found?.[0]}`)
  }
  const path = filesIn(job.home).find(path => /\.(db|sqlite)$/.test(path))!
  const store = new DatabaseSync(path, { readOnly: true })
  for (const { name } of store.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all())
    for (const row of store.prepare(`SELECT * FROM "${name}"`).all())
      for (const [column, value] of Object.entries(row))
        if (name !== 'error_records' || !QUARANTINE.includes(column))
          assert.doesNotMatch(String(value), MARKER, `${name}.${column}`)
  store.close()
}

const people = (lines: string[]) => `id,email,phone,n\n${lines.map(line => `${line}\n`).join('')}`

const GOOD = [
  '1,markmail1@x.example,markphone1,1',
  "2,mark'mail2@x.example,markphone2,2",
  '3,markmail3@x.example,markphone3,3',
]

async function peopleJob(name: string, url: string, { load = '', alerts = '' } = {}) {
  const yaml = (more: string) => `connections: { in: "file:in", wh: "${url}" }
extract: { people: { from: in, files: people.csv, take: all, key: id, sensitive: [Email, phone, N], columns: { n: quarantine }, schema: { id: INTEGER, email: VARCHAR, phone: VARCHAR, n: SMALLINT } } }
load: { ${name}: { to: wh, from: contacts, key: email${more} } }
quality: { max_error_rate: 0.9 }
retries: { limit: 0 }
resources: { memory: 300MB, threads: 1 }
${alerts}`
  const model = 'SELECT id, email, phone, n FROM people'
  const job = await smallJob({ after }, name, { 'job.yaml': yaml(load), 'contacts.sql': model })
  const write = (file: string, text: string) => {
    mkdirSync(join(job.folder, file, '..'), { recursive: true })
    writeFileSync(join(job.folder, file), text)
  }
  write('in/people.csv', people(GOOD))
  return { ...job, write, model, options: (more: string) => job.yaml(yaml(more)) }
}

const postgres = await freshPostgres()
const mariadb = await freshMariadb()

test('a sensitive value is in no output and no file, whatever comes of the night', async t => {
  const hook = await receiver(t)
  const job = await peopleJob('night', postgres.url, {
    alerts: `alerts: { channels: { hook: { webhook: "${hook.url}", format: json } }, on: { success: [hook], errors: [hook], failure: [hook] } }`,
  })
  job.write(
    'checks/contacts/phone.sql',
    `SELECT id, 'bad phone ' || phone || ' of ' || lower(email) AS reason FROM contacts WHERE phone LIKE '%bad%'`,
  )
  job.write('checks/worst.sql', `SELECT 'warn' AS level, 'worst is ' || max(email) AS message FROM contacts`)
  const said: string[] = []
  const cli = async (...args: string[]) => {
    const ended = await job.cli(...args)
    said.push(ended.output)
    nothingIn(job, ended.output, ...hook.bodies)
    return ended
  }
  const plan = await cli('plan', job.folder)
  assert.match(plan.out, /email = masked-[0-9a-f]{12}/)
  assert.equal((await cli('run', job.folder)).code, 0)
  job.write(
    'in/people.csv',
    people([...GOOD.slice(1), '4,MARKMAIL4@x.example,markbad4,4', '5,markmail5@x.example,markphone5,markn5']),
  )
  const changed = await cli('plan', job.folder, '--json')
  assert.match(changed.output, /masked-/)
  const rejects = await cli('run', job.folder, '--json')
  assert.equal(rejects.code, 0, rejects.output)
  const list = await cli('errors', 'list')
  assert.match(list.out, /bad phone masked-[0-9a-f]{12} of masked-[0-9a-f]{12}/)
  await cli('errors', 'list', '--json')
  const record = (await job.metadata.errors.list({ table: 'contacts', limit: 1 }))[0]!
  assert.equal(record.record.phone, 'markbad4')
  await cli('errors', 'show', record.id)
  await cli('status')
  for (const args of [
    ['history', '--json'],
    ['checkpoints'],
    ['validate', job.folder],
    ['doctor', job.folder],
  ])
    await cli(...args)
  await cli('alerts', 'list')
  await cli('verify', job.folder)
  assert.ok(hook.bodies.some(body => body.includes('bad phone masked-')))

  // Corrected by what is exported: masked values stay as they are.
  const exported = await cli('errors', 'export', 'night', 'contacts')
  const mask = /bad phone (masked-\w+)/.exec(list.out)![1]!
  assert.ok(exported.out.includes(mask))
  const exact = await job.cli('errors', 'export', 'night', 'contacts', '--exact')
  assert.match(exact.out, /MARKMAIL4@x\.example,markbad4/)
  const line = exported.out.split('\n')[1]!.split(',')
  const csv = join(job.folder, 'in', 'bad.csv')
  writeFileSync(csv, `${exported.out.split('\n')[0]}\n${line.with(4, 'markphone4').join(',')}\n`)
  await cli('errors', 'reprocess', 'night', '--corrections', csv)
  assert.equal((await cli('run', job.folder)).code, 0)
  const [mended] = await postgres.query<{ email: string }>(
    `SELECT email FROM night WHERE phone = 'markphone4'`,
  )
  assert.equal(mended!.email, 'MARKMAIL4@x.example')
  writeFileSync(csv, `${exported.out.split('\n')[0]}\n${line.with(4, 'masked-000000000000').join(',')}\n`)
  assert.equal((await cli('errors', 'reprocess', 'night', '--corrections', csv)).code, 2)
})

test('what was rejected before a column was sensitive is hidden as well, once a run has ended, found again or not', async t => {
  const yaml = (sensitive: string) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { people: { from: in, files: people.csv, take: all, key: id,${sensitive} schema: { id: INTEGER, email: VARCHAR } } }
load: { people: { to: wh, from: kept, key: id, mode: merge } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob(t, 'later', {
    'job.yaml': yaml(''),
    'kept.sql': 'SELECT id, email FROM people',
    'checks/kept/email.sql': `SELECT id, 'email = ' || email AS reason FROM kept WHERE email LIKE 'mark%'`,
    'in/people.csv': 'id,email\n1,markmail1@x.example\n2,markmail2@x.example\n',
  })
  assert.equal((await job.run()).error, undefined)
  const [first] = await job.metadata.errors.list({})
  assert.match(first!.reason, MARKER)
  job.yaml(yaml(' sensitive: [email],'))
  writeFileSync(join(job.folder, 'in/people.csv'), 'id,email\n1,markmail1@x.example\n')
  assert.equal((await job.run()).error, undefined)
  const records = await job.metadata.errors.list({})
  assert.deepEqual(records.map(({ state }) => state).toSorted(), ['open', 'resolved'])
  const shown = [
    ['list', '--json'],
    ['list', '--state', 'resolved', '--json'],
    ['export', 'later', 'kept'],
  ]
  for (const args of [...shown, ...records.map(({ id }) => ['show', id])]) {
    const { code, output } = await job.cli('errors', ...args)
    assert.equal(code, 0, output)
    assert.match(output, /masked-/)
    assert.doesNotMatch(output, MARKER)
  }
})

test('what a table has not is hidden also where the run that marks it did not come to the table', async t => {
  const yaml = (
    sensitive: string,
    table = 'people',
  ) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { ${table}: { from: in, files: "*.csv", take: all, key: id,${sensitive} schema: { id: INTEGER, email: VARCHAR } } }
load: { kept: { to: wh, from: ${table}, key: id, mode: merge } }
quality: { max_error_rate: 1 }
retries: { limit: 0 }
resources: { memory: 300MB, threads: 1 }
`
  const whole = 'id,email\n1,other@x.example\n2,markmail2@x.example,extra\n'
  for (const left of [false, true]) {
    const job = await smallJob(t, `unseen_${left}`, { 'job.yaml': yaml(''), 'in/people.csv': whole })
    assert.equal((await job.run()).error, undefined)
    const [first] = await job.metadata.errors.list({})
    assert.match(JSON.stringify(first!.record), MARKER)
    job.yaml(yaml(' sensitive: [email],', left ? 'others' : 'people'))
    const file = join(job.folder, 'in/people.csv')
    if (left) writeFileSync(file, 'id,email\n1,other@x.example\n')
    else rmSync(join(job.folder, 'in'), { recursive: true })
    assert.equal((await job.run()).error === undefined, left)
    for (const args of [
      ['list', '--json'],
      ['show', first!.id],
    ]) {
      const { code, output } = await job.cli('errors', ...args)
      assert.equal(code, 0, output)
      assert.match(output, /masked-/)
      assert.doesNotMatch(output, MARKER)
    }
    const [marked] = await job.metadata.errors.list({})
    assert.equal(marked!.sensitive.includes('id'), left, 'the key of a table that the job has stays')
  }
})

interface Failure {
  name: string
  /** Of the warehouse, before the run; of the job. */
  setup?: string
  load?: string
  model?: string
  lines?: string[]
  code: RegExp
}

const LONG = { code: /DATA_INVALID/ }
const QUARANTINED: Failure = {
  name: 'quarantined',
  setup:
    "CREATE TABLE quarantined (id int, email varchar(19) PRIMARY KEY, phone varchar(10) CHECK (phone <> 'markphone1'), n int)",
  load: ', on_bad_row: quarantine',
  lines: ['7,markmaillonger7@x.example,markphone7,1', '8,markmail8@x.exampl,markphone8,1'],
  code: /COMPLETED_WITH_ERRORS/,
}
const FAILURES: Record<string, Failure[]> = {
  postgres: [
    {
      name: 'raises',
      setup: `CREATE TABLE raises (id int, email varchar(99) PRIMARY KEY, phone text, n int);
        CREATE FUNCTION raise_email() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no % "of" %', NEW.email, NEW.phone; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER t BEFORE INSERT ON raises FOR EACH ROW EXECUTE FUNCTION raise_email()`,
      code: /CONSTRAINT_VIOLATED: wh\.raises: a trigger refuses a row: "masked-/,
    },
    {
      name: 'raises_as_server',
      setup: `CREATE TABLE raises_as_server (id int, email varchar(99) PRIMARY KEY, phone text, n int);
        CREATE FUNCTION raise_as() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '22000', MESSAGE = NEW.email; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER t BEFORE INSERT ON raises_as_server FOR EACH ROW EXECUTE FUNCTION raise_as()`,
      code: /a trigger refuses a row: "masked-/,
    },
    {
      name: 'twice',
      lines: ['7,markmail1@x.example,markphone7,1'],
      code: /DUPLICATE_KEY: .*email = masked-/,
    },
    { name: 'casts', model: 'SELECT id, email, phone::BIGINT AS phone, n FROM people', code: /masked-/ },
    {
      name: 'inexact',
      model: 'SELECT id, email, phone, (id + 40000) n FROM people',
      setup: 'CREATE TABLE inexact (id int, email text PRIMARY KEY, phone text, n smallint)',
      code: /DATA_INVALID/,
    },
    {
      name: 'long',
      setup: 'CREATE TABLE long (id int, email text PRIMARY KEY, phone varchar(4), n int)',
      ...LONG,
    },
    {
      name: 'uniques',
      setup: 'CREATE TABLE uniques (id int, email text PRIMARY KEY, phone text UNIQUE, n int)',
      lines: ['7,markmail7@x.example,markphone1,1'],
      code: /Key \(phone\)=\(masked-\w{12}\)/,
    },
    {
      name: 'checked',
      setup:
        'CREATE TABLE checked (id int, email text PRIMARY KEY, phone text CHECK (length(phone) > 50), n int)',
      code: /CONSTRAINT_VIOLATED/,
    },
    {
      name: 'foreign_keys',
      setup:
        'CREATE TABLE phones (p text PRIMARY KEY); CREATE TABLE foreign_keys (id int, email text PRIMARY KEY, phone text REFERENCES phones, n int)',
      code: /Key \(phone\)=\(masked-/,
    },
    {
      name: 'typed',
      setup: 'CREATE TABLE typed (id int, email text PRIMARY KEY, phone uuid, n int)',
      code: /DATA_INVALID/,
    },
    {
      name: 'altered',
      setup: `CREATE TABLE altered (id int, email text PRIMARY KEY, phone text, n int);
        CREATE FUNCTION alter_it() RETURNS trigger AS $$ BEGIN NEW.phone = 'marktrigger1'; RETURN NEW; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER t BEFORE INSERT ON altered FOR EACH ROW EXECUTE FUNCTION alter_it()`,
      code: /VERIFY_FAILED: .*email = masked-/,
    },
    QUARANTINED,
  ],
  mariadb: [
    {
      name: 'signals',
      setup: `CREATE TABLE signals (id int, email varchar(99) PRIMARY KEY, phone text, n int);
        CREATE TRIGGER signals_t BEFORE INSERT ON signals FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = NEW.email`,
      code: /CONSTRAINT_VIOLATED: wh\.signals: a trigger refuses a row: "masked-/,
    },
    {
      name: 'long',
      setup: 'CREATE TABLE `long` (id int, email varchar(99) PRIMARY KEY, phone varchar(4), n int)',
      ...LONG,
    },
    {
      name: 'uniques',
      setup: 'CREATE TABLE uniques (id int, email varchar(99) PRIMARY KEY, phone varchar(99) UNIQUE, n int)',
      lines: ['7,markmail7@x.example,markphone1,1'],
      code: /Duplicate entry 'masked-\w{12}'/,
    },
    {
      name: 'folding',
      setup:
        'CREATE TABLE folding (id int, email varchar(99) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, phone text, n int)',
      lines: ['7,MARKMAIL1@x.example,markphone7,1'],
      code: /masked-\w{12}' and email 'masked-/,
    },
    {
      name: 'typed',
      setup: 'CREATE TABLE typed (id int, email varchar(99) PRIMARY KEY, phone int, n int)',
      code: /DATA_INVALID|TARGET_INCOMPATIBLE/,
    },
    QUARANTINED,
  ],
}

const SERVERS: Record<string, FreshDatabase> = { postgres, mariadb }

for (const [server, failures] of Object.entries(FAILURES))
  for (const { name, setup, load = '', model, lines = [], code } of failures)
    test(`${server}: no failure tells a sensitive value: ${name}`, async () => {
      const database = SERVERS[server]!
      if (setup) await database.query(setup)
      const job = await peopleJob(name, database.url, { load })
      if (model) job.write('contacts.sql', model)
      job.write('in/people.csv', people([...GOOD, ...lines]))
      const notes: string[] = []
      const result = await job.run({
        progress: {
          started() {},
          advanced() {},
          finished: (_, note) => notes.push(note),
          note: text => notes.push(text),
        },
      })
      const error = result.error as (Error & { code?: string; hint?: string }) | undefined
      const told = error ? `${error.code}: ${error.message}\n${error.hint}\n${error.stack}` : result.status
      nothingIn(
        job,
        told,
        ...notes,
        JSON.stringify(result.outcome.checks),
        JSON.stringify(result.outcome.verifications),
      )
      assert.match(told, code)
    })

test('a sensitive column that the table has not is refused', async () => {
  const job = await peopleJob('misspelt', postgres.url)
  job.options('')
  writeFileSync(
    join(job.folder, 'job.yaml'),
    readFileSync(join(job.folder, 'job.yaml'), 'utf8').replace('sensitive: [Email', 'sensitive: [emial'),
  )
  const { error } = await job.run()
  assert.match((error as Error).message, /sensitive column emial is not a column of the table/)
})
