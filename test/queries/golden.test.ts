import assert from 'node:assert/strict'
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { graphOf } from '../../engine/sql/graph.ts'

// Every folder below queries/<job>/tests/cases is a test: inputs as <table>.csv, and what is expected of any model,
// or of the checks (findings), below expected/. With GOLDEN=write the expectations are written, to be read in the diff.
const queries = join(import.meta.dirname, '../../queries')
const job = join(queries, 'members')
const cases = join(job, 'tests/cases')
const sqlIn = (folder: string) => globSync('*.sql', { cwd: folder }).sort()
const read = (...path: string[]) => readFileSync(join(...path), 'utf8')

async function session(): Promise<Duck> {
  const duck = await Duck.open({})
  for (const file of sqlIn(join(queries, 'macros'))) await duck.run(read(queries, 'macros', file))
  return duck
}

const csv = (path: string) => `read_csv(${quote(path)}, header = true, all_varchar = true, quote = '"')`

/** Runs models and checks over a case's tables as the engine would: rejected rows go no further. */
async function runJob(duck: Duck, folder: string): Promise<string[]> {
  await duck.run(read(job, 'tests/tables.sql'))
  const tables = ['members', 'contacts', 'payments', 'corrections']
  for (const table of tables) {
    const input = join(folder, `${table}.csv`)
    if (existsSync(input)) await duck.run(`INSERT INTO ${table} BY NAME SELECT * FROM ${csv(input)}`)
  }
  const files = sqlIn(job).map(file => ({ name: basename(file, '.sql'), file, sql: read(job, file) }))
  const extracts = tables.map(name => ({ name }))
  const { models } = await graphOf(duck, { extracts, models: files, checks: [], macros: [], loads: [] })
  await duck.run(
    'CREATE TABLE findings (check_name VARCHAR, record VARCHAR, severity VARCHAR, reason VARCHAR)',
  )
  for (const model of models) {
    await duck.run(`CREATE TABLE ${model.name} AS ${model.sql}`)
    const bad: string[] = []
    for (const file of sqlIn(join(job, 'checks', model.name))) {
      const sql = read(job, 'checks', model.name, file)
      const key = model.name === 'members_clean' ? 'member_id' : 'payment_id'
      const columns = (await duck.rows(`DESCRIBE ${sql}`)).map(column => column.column_name)
      const severity = columns.includes('severity') ? 'severity' : "'reject'"
      const found = `SELECT ${quote(basename(file, '.sql'))}, ${key}::VARCHAR, ${severity}, reason FROM (${sql})`
      await duck.run(`INSERT INTO findings ${found}`)
      bad.push(`DELETE FROM ${model.name} WHERE ${key}::VARCHAR IN
        (SELECT record FROM findings WHERE severity = 'reject' AND check_name = ${quote(basename(file, '.sql'))})`)
    }
    for (const statement of bad) await duck.run(statement)
  }
  for (const file of sqlIn(join(job, 'checks')))
    await duck.run(
      `INSERT INTO findings SELECT ${quote(basename(file, '.sql'))}, '', level, message FROM (${read(job, 'checks', file)})`,
    )
  return [...models.map(model => model.name), 'findings']
}

async function asCsv(duck: Duck, table: string): Promise<string> {
  const rows = await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${table} ORDER BY ALL`)
  const names = (await duck.rows(`DESCRIBE ${table}`)).map(column => String(column.column_name))
  const field = (value: unknown) =>
    value === null
      ? ''
      : /[",\n]|^$/.test(String(value))
        ? `"${String(value).replaceAll('"', '""')}"`
        : String(value)
  return `${[names, ...rows.map(row => names.map(name => row[name]))].map(row => row.map(field).join(',')).join('\n')}\n`
}

for (const name of readdirSync(cases).sort())
  test(`members: ${name}`, async () => {
    const duck = await session()
    try {
      const tables = await runJob(duck, join(cases, name))
      const expected = globSync('*.csv', { cwd: join(cases, name, 'expected') })
      assert.ok(expected.length > 0, `${name}/expected has no file`)
      for (const file of expected) {
        const table = basename(file, '.csv')
        assert.ok(tables.includes(table), `${file}: no model has this name`)
        const path = join(cases, name, 'expected', file)
        const actual = await asCsv(duck, table)
        if (process.env.GOLDEN === 'write') writeFileSync(path, actual)
        assert.equal(actual, readFileSync(path, 'utf8'), `${name}/expected/${file}`)
      }
    } finally {
      duck.close()
    }
  })

for (const [file, call] of [
  ['phone', 'phone_e164(raw, country)'],
  ['email', 'email_clean(raw)'],
])
  test(`macro ${call}`, async () => {
    const duck = await session()
    try {
      const rows = await duck.rows(
        `SELECT *, ${call} AS actual FROM ${csv(join(job, `tests/macros/${file}.csv`))}`,
      )
      assert.ok(rows.length > 10)
      for (const row of rows) assert.equal(row.actual, row.expected, JSON.stringify(row))
    } finally {
      duck.close()
    }
  })

test('tenure counts whole months', async () => {
  const duck = await session()
  try {
    const call = (since: string, till: string) => `tenure_months(DATE '${since}', DATE '${till}')`
    const [row] = await duck.rows(
      `SELECT ${call('2024-01-15', '2024-03-14')} AS a, ${call('2024-01-15', '2024-03-15')} AS b,
        ${call('2024-03-01', '2024-01-01')} AS c, tenure_months(NULL::DATE, DATE '2024-01-01') AS d`,
    )
    assert.deepEqual(row, { a: 1, b: 2, c: 0, d: null })
  } finally {
    duck.close()
  }
})
