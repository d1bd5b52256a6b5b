/** The page on coming from other tools: our side runs as it is written, and its table has the lines of each block. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { serving } from '../connectors/http/serving.ts'
import { putProgram } from '../program.ts'
import { startS3 } from '../s3.ts'
import { freshPostgres } from '../servers.ts'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)
const page = readFileSync(join(ROOT, 'docs/coming-from.md'), 'utf8')
const BLOCK = /^```(\w*)\n([\s\S]*?)^```$/gm

/** Sections of the page by their titles, those of each task within. */
const sections = new Map(
  page.split(/^## /m).map(text => {
    const [title, ...tasks] = text.split(/^### /m)
    return [firstLine(title!), new Map(tasks.map(task => [firstLine(task), [...task.matchAll(BLOCK)]]))]
  }),
)

/** The columns of the table, and whose section each counts. */
const COLUMNS = ['With Nightfreight', 'From sling', 'From dlt', 'From pgloader', 'From a shell pipe with dbt']

function firstLine(text: string): string {
  return text.split('\n')[0]!
}

function linesOf(blocks: RegExpExecArray[]): number {
  return blocks.flatMap(([, , body]) => body!.split('\n')).filter(line => /^\s*[^\s#]/.test(line)).length
}

test('the page of HTTP APIs begins with the job that is run here', () => {
  const [, , job] = sections.get(COLUMNS[0]!)!.get('An HTTP API with pages')![0]!
  assert.ok(readFileSync(join(ROOT, 'docs/connectors/http.md'), 'utf8').includes(`\`\`\`yaml\n${job}`))
})

test('the table has the lines of each block, and ours are never more', () => {
  const rows = [...page.matchAll(/^\| ([A-Z].*?) \| (\d+) \| (.*) \|$/gm)]
  const ours = sections.get(COLUMNS[0]!)!
  assert.deepEqual(
    rows.map(([, task]) => task),
    [...ours.keys()].filter(task => task !== 'The same as a job'),
  )
  for (const [, task, first, rest] of rows) {
    const counted = COLUMNS.map(column => sections.get(column)!.get(task!))
    const lines = counted.map(blocks => (blocks ? String(linesOf(blocks)) : '–'))
    assert.deepEqual([first, ...rest!.split(' | ')], lines, task)
    for (const theirs of lines.slice(1)) assert.ok(theirs === '–' || Number(first) <= Number(theirs), task)
  }
  for (const tasks of sections.values())
    for (const [, , body] of [...tasks.values()].flat())
      assert.deepEqual(
        body!.split('\n').filter(line => line.length > 127),
        [],
      )
})

const shop = await freshPostgres()
const dw = await freshPostgres()
const place = mkdtempSync(join(tmpdir(), 'nightfreight-coming-'))
const s3 = await startS3()
after(() => {
  s3.stop()
  rmSync(place, { recursive: true })
})

await shop.query(`CREATE TABLE orders (id int PRIMARY KEY, amount numeric(12,2), changed_at timestamptz NOT NULL);
  INSERT INTO orders SELECT i, i - 0.5, timestamptz '2026-01-01' + i * interval '1 hour' FROM generate_series(1, 100) AS i;
  CREATE TABLE customers (id int PRIMARY KEY)`)
await s3.bucket('company-drops')
const client = new S3Client({
  endpoint: s3.endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
})
await client.send(
  new PutObjectCommand({
    Bucket: 'company-drops',
    Key: 'orders/orders.csv',
    Body: 'id,amount\n1,2.50\n2,3.25\n',
  }),
)
client.destroy()

/** What tables each task leaves in the warehouse, with their rows; the second number after what `later` did. */
const LEAVES: Record<string, Record<string, [number, number]>> = {
  'One table': { 'public.orders': [100, 99] },
  'A whole schema': { 'raw.orders': [100, 99], 'raw.customers': [0, 0] },
  'What changed, deletes too': { 'live.orders': [100, 99] },
  'The same as a job': { 'changed.orders': [100, 99] },
  'Files from S3': { 'files.orders': [2, 2] },
  'An HTTP API with pages': { 'api.orders': [700, 700] },
}

test('every command and job of ours does what the page says, tonight and tomorrow', async t => {
  const bin = join(place, 'bin')
  putProgram(bin)
  await serving(
    (_request, url, response) => {
      const [number, limit] = [url.searchParams.get('page'), url.searchParams.get('limit')].map(Number)
      const data = Array.from({ length: 700 }, (_, i) => ({ id: i + 1, amount: `${i}.25` }))
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ data: data.slice((number! - 1) * limit!, number! * limit!) }))
    },
    async origin => {
      const env = {
        ...process.env,
        PATH: `${bin}:${process.env.PATH}`,
        SHOP_URL: shop.url,
        DW_URL: dw.url,
        API_URL: origin,
        AWS_ENDPOINT_URL: s3.endpoint,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        METADATA_URL: '',
        NIGHTFREIGHT_HOME: join(place, '.nightfreight'),
      }
      for (const night of [0, 1]) {
        if (night === 1)
          await shop.query(
            'DELETE FROM orders WHERE id = 7; UPDATE orders SET amount = 1000, changed_at = now() WHERE id = 8',
          )
        for (const [task, blocks] of sections.get('With Nightfreight')!)
          await t.test(`${task}, night ${night + 1}`, async () => {
            for (const [, language, body] of blocks)
              if (language === 'yaml') {
                const file = join(place, /^# (\S+)\n/.exec(body!)![1]!)
                mkdirSync(dirname(file), { recursive: true })
                writeFileSync(file, body!)
              } else await run('/bin/sh', ['-e', '-c', body!], { cwd: place, env })
            for (const [table, counts] of Object.entries(LEAVES[task]!)) {
              const [row] = await dw.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)
              assert.equal(Number(row!.n), counts[night], table)
            }
          })
      }
      for (const table of ['public.orders', 'raw.orders', 'live.orders', 'changed.orders'])
        assert.deepEqual(await dw.query(`SELECT id, amount FROM ${table} WHERE id BETWEEN 7 AND 8`), [
          { id: 8, amount: '1000.00' },
        ])
    },
  )
})
