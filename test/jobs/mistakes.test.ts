import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { faultText, type SqlInvalid } from '../../engine/sql/faults.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { MISTAKES, PLAIN, YAML } from './mistakes.ts'
import { RIGHT } from './rightSql.ts'
import { type SmallJob, smallJob } from './small.ts'

// Typical mistakes of those who write SQL, and all that is said of each: mistakes.txt, to be read by people. GOLDEN=write
// writes it anew.
const GOLDEN = join(import.meta.dirname, 'mistakes.txt')

const changed = (text: string) =>
  text
    .split('\n')
    .filter(line => !PLAIN.split('\n').includes(line))
    .join('\n')

/** Jobs that mistakes are made in at once. */
const JOBS = 4

test('typical mistakes are told each at its place, with what to write', async () => {
  const waiting = MISTAKES.map((mistake, at) => ({ mistake, at }))
  const told: string[] = []
  const tell = async (): Promise<void> => {
    const job = await smallJob({ after }, 'mistakes', { 'job.yaml': YAML })
    for (let next = waiting.shift(); next; next = waiting.shift())
      told[next.at] = await toldOf(job, next.mistake)
  }
  await Promise.all(Array.from({ length: JOBS }, tell))
  const page = told.join(`\n${'─'.repeat(80)}\n`)
  if (process.env.GOLDEN === 'write') writeFileSync(GOLDEN, page)
  assert.equal(page, readFileSync(GOLDEN, 'utf8'))
})

/** What is said of a mistake, below it. */
async function toldOf(job: SmallJob, mistake: (typeof MISTAKES)[number]): Promise<string> {
  const files = {
    'm.sql': 'SELECT order_id FROM orders',
    ...(typeof mistake === 'string' ? { 'm.sql': mistake } : mistake),
  }
  write(job, files)
  const found = await validateJob(job.folder, {}, job.home).then(
    ({ warnings }) => warnings.map(warning => `warning: ${faultText(warning)}`),
    (error: SqlInvalid) => error.message.split('\n').concat(error.hint ? `    hint: ${error.hint}` : []),
  )
  assert.ok(found.length > 0, `nothing is said of: ${JSON.stringify(mistake)}`)
  const text = found.join('\n').replaceAll(job.folder, 'job')
  assert.doesNotMatch(text, /DESCRIBE|COPY|read_parquet|nightfreight-|_nf_/)
  // What is wrong with a query stands at its line.
  assert.match(text, /\.sql:\d+:(\d+:)? |job\.yaml:\d+|is empty|nobody|no model/)
  const title =
    typeof mistake === 'string'
      ? mistake
      : Object.entries(mistake)
          .map(([file, text]) => `${file}: ${file === 'job.yaml' ? changed(text) : text}`)
          .join('\n')
  for (const file of Object.keys(files)) rmSync(join(job.folder, file))
  job.yaml(YAML)
  for (const folder of ['check', 'checks', 'seed', 'seeds', '../macros'])
    rmSync(join(job.folder, folder), { recursive: true, force: true })
  return `${title}\n\n${text.replaceAll(/^/gm, '  ')}\n`
}

function write({ folder }: SmallJob, files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(folder, file, '..'), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
}

test('of what is right nothing is said', async () => {
  const job = await smallJob({ after }, 'right', { 'job.yaml': YAML })
  const nothingIsSaid = async (files: Record<string, string>) => {
    write(job, files)
    const { warnings } = await validateJob(job.folder, {}, job.home)
    assert.deepEqual(
      warnings.map(each => faultText(each)),
      [],
      JSON.stringify(files),
    )
    for (const file of Object.keys(files)) rmSync(join(job.folder, file))
    job.yaml(YAML)
  }
  const [texts, others] = [
    RIGHT.filter(right => typeof right === 'string'),
    RIGHT.filter(right => typeof right !== 'string'),
  ]
  // A model each of one job.
  const loads = texts.map((_, at) => `  m${at}: { to: wh, from: m${at}, key: order_id }\n`)
  job.yaml(YAML.replace(/ {2}m: .*\n/, loads.join('')))
  await nothingIsSaid(Object.fromEntries(texts.map((text, at) => [`m${at}.sql`, text])))
  for (const files of others) await nothingIsSaid({ 'm.sql': 'SELECT order_id FROM orders', ...files })
})

/** Processor time that an action takes, of all threads. */
async function seconds(act: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}

test('a job of 200 models over 50 tables is bound within 2 seconds of CPU, or 2.2 times what a slow machine takes in DuckDB alone', async () => {
  const tables = Array.from({ length: 50 }, (_, i) => i)
  const schema =
    '{ id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR, seen: TIMESTAMP }'
  const extracts = tables.map(
    i => `  t${i}: { from: in, files: t${i}.csv, take: all, key: id, schema: ${schema} }`,
  )
  const job = await smallJob({ after }, 'wide', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }\nextract:\n${extracts.join('\n')}\nload: { m199: { to: wh, from: m199, key: id } }\n`,
  })
  const models = Array.from(
    { length: 200 },
    (_, i) => `WITH base AS (SELECT id, customer_id, amount, note, seen FROM t${i % 50} WHERE amount > 0),
  ranked AS (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY seen DESC, id) AS rn FROM base)
SELECT r.id, r.customer_id, r.amount, coalesce(b.note, r.note) AS note, r.seen
FROM ranked AS r LEFT JOIN ${i < 50 ? `t${(i + 1) % 50}` : `m${i - 50}`} AS b ON b.id = r.id WHERE r.rn = 1
`,
  )
  for (const [i, sql] of models.entries()) writeFileSync(join(job.folder, `m${i}.sql`), sql)
  const bare = await seconds(async () => {
    const duck = await Duck.open({ threads: 1 })
    const columns = 'id BIGINT, customer_id BIGINT, amount DECIMAL(12,2), note VARCHAR, seen TIMESTAMP'
    for (const i of tables) await duck.run(`CREATE TABLE t${i} (${columns})`)
    for (const [i, sql] of models.entries()) {
      await duck.rows(`SELECT json_serialize_sql(${quote(sql)})`)
      await duck.rows(`DESCRIBE ${sql}`)
      await duck.run(`CREATE TABLE m${i} AS ${sql}`)
    }
    duck.close()
  })
  const own = await seconds(async () => {
    const { graph } = await validateJob(job.folder, {}, job.home)
    assert.equal(graph.models.length, 200)
  })
  assert.ok(own < Math.max(2, 2.2 * bare), `${own} s, ${bare} s of DuckDB alone`)
})

test('conditions of thousands of values are looked at as soon', async () => {
  const numbers = Array.from({ length: 3000 }, (_, i) => i)
  const job = await smallJob({ after }, 'long', {
    'job.yaml': YAML,
    'm.sql': `SELECT order_id, CASE note ${numbers.map(i => `WHEN 'n${i}' THEN ${i}`).join(' ')} END AS n FROM orders
WHERE order_id IN (${numbers.join(', ')}) AND (${numbers.map(i => `customer_id = ${i}`).join(' OR ')})`,
  })
  const own = await seconds(async () => {
    const { warnings } = await validateJob(job.folder, {}, job.home)
    assert.deepEqual(warnings, [])
  })
  assert.ok(own < 4, `${own} s`)
})
