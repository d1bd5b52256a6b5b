import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Duck } from '../../../engine/sql/duckdb.ts'
import { commandLine } from '../../commandLine.ts'
import { ids, json, serving } from './serving.ts'

const top = mkdtempSync(join(tmpdir(), 'nf-http-resumed-'))
after(() => rmSync(top, { recursive: true, force: true }))
const PAGES = 8
const SIZE = 5
const { page, all } = ids(PAGES * SIZE)

/** A job that loads /things into a DuckDB file, chunk by chunk of a page. */
function context(name: string, url: string, paginate: string, most = SIZE): string {
  const folder = join(top, name)
  mkdirSync(join(folder, 'job'), { recursive: true })
  writeFileSync(
    join(folder, 'job', 'job.yaml'),
    `job: ${name}
connections:
  api: { url: "${url}", token: hush-hush, health: /things, attempts: 1 }
  warehouse: duckdb:${join(folder, 'w.duckdb')}
extract:
  things: { from: api, path: /things, ${paginate}, limit: ${SIZE}, schema: { id: BIGINT }, key: id }
load:
  things: { to: warehouse, from: things, key: id }
retries: { limit: 0 }
chunking: { default_chunk_size: ${SIZE}, max_chunk_size: ${most} }
`,
  )
  return folder
}

const run = (folder: string, args = ['run', join(folder, 'job')], begun?: (child: ChildProcess) => void) =>
  commandLine(join(folder, 'home'), [...args, '--json'], { begun })

async function loaded(folder: string): Promise<string[]> {
  const duck = await Duck.open({ path: join(folder, 'w.duckdb') })
  try {
    return (await duck.rows('SELECT id::VARCHAR AS id FROM things ORDER BY things.id')).map(({ id }) =>
      String(id),
    )
  } finally {
    duck.close()
  }
}

const progressOf = (folder: string) =>
  globSync('home/staging/*/*/progress/things.json', { cwd: folder }).map(file =>
    readFileSync(join(folder, file), 'utf8'),
  )

/** The number of the page that a request asks for; undefined: a probe. */
function numberOf(url: URL): number | undefined {
  if (!url.searchParams.has('limit')) return undefined
  if (url.searchParams.has('page')) return Number(url.searchParams.get('page'))
  return Number(url.searchParams.get('cursor') ?? 1)
}

for (const paginate of ['paginate: page', 'paginate: cursor', 'paginate: next'])
  test(`${paginate}: a run killed at page 5 and run again does not ask for the pages it has`, async () => {
    const asked: number[] = []
    let held: ((response: ServerResponse) => void) | undefined
    await serving(
      (_request, url, response) => {
        const number = numberOf(url)
        if (number !== undefined) asked.push(number)
        if (number === 5 && held) {
          held(response)
          return
        }
        const at = number ?? 1
        const data = page((at - 1) * SIZE, SIZE)
        const more = at < PAGES ? at + 1 : null
        const next = more && `/things?limit=${SIZE}&page=${more}`
        json(response, JSON.stringify({ data, next, next_cursor: more }))
      },
      async origin => {
        const folder = context(paginate.replace(': ', '_'), origin, paginate)
        const killed = await run(folder, undefined, child => {
          held = async () => {
            for (let tries = 0; tries < 2000; tries++) {
              if (progressOf(folder).some(text => text.includes('page 5'))) break
              await delay(5)
            }
            child.kill('SIGKILL')
          }
        })
        assert.equal(killed.signal, 'SIGKILL', killed.output)
        assert.deepEqual(asked, [1, 2, 3, 4, 5])
        held = undefined
        asked.length = 0
        const again = await run(folder)
        assert.equal(again.code, 0, again.output)
        assert.match(again.output, /goes on after 20 rows, at \/things page 5/)
        // The page before is asked for once more where a record may have moved to it.
        assert.deepEqual(asked, paginate === 'paginate: page' ? [4, 5, 6, 7, 8, 9] : [5, 6, 7, 8])
        assert.deepEqual(await loaded(folder), all)
        assert.deepEqual(progressOf(folder), [])
        assert.ok(!again.output.includes('hush-hush'))
      },
    )
  })

test('a server that fails at page 4: nothing is loaded, and resume goes on there; the next run begins anew', async () => {
  const asked: number[] = []
  let broken = true
  await serving(
    (_request, url, response) => {
      const number = numberOf(url)
      if (number !== undefined) asked.push(number)
      const records = page(((number ?? 1) - 1) * SIZE, SIZE)
      // Its other fields may change: records are known by their key.
      const data = records.map(record => ({ ...record, asked: performance.now() }))
      if (number === 4 && broken) json(response, '{"error":"hush-hush is tired"}', 500)
      else json(response, JSON.stringify({ data, total: PAGES * SIZE }))
    },
    async origin => {
      const folder = context('fails', origin, 'paginate: page, total: total', 1000)
      const failed = await run(folder)
      assert.equal(failed.code, 75, failed.output)
      assert.match(failed.output, /api \/things: status 500, application\/json: .*\*\*\* is tired/)
      assert.ok(!failed.output.includes('hush-hush'), failed.output)
      await assert.rejects(loaded(folder), /Table with name things does not exist/)
      broken = false
      asked.length = 0
      const again = await run(folder, ['resume'])
      assert.equal(again.code, 0, again.output)
      assert.deepEqual(asked, [3, 4, 5, 6, 7, 8, 9])
      assert.deepEqual(await loaded(folder), all)
      asked.length = 0
      const next = await run(folder)
      assert.equal(next.code, 0, next.output)
      assert.equal(asked[0], 1)
    },
  )
})

test('a run that goes on at a page of a list that has changed fails, and the next one begins anew', async () => {
  let [from, broken] = [0, true]
  const { page } = ids(100)
  await serving(
    (_request, url, response) => {
      const number = numberOf(url) ?? 1
      if (number === 4 && broken) json(response, '{}', 500)
      else json(response, JSON.stringify({ data: page(from + (number - 1) * SIZE, SIZE) }))
    },
    async origin => {
      const folder = context('moved', origin, 'paginate: page')
      assert.equal((await run(folder)).code, 75)
      ;[from, broken] = [3, false]
      const again = await run(folder, ['resume'])
      assert.equal(again.code, 4, again.output)
      assert.match(again.output, /the page before it, .* has other records now/)
      await assert.rejects(loaded(folder), /Table with name things does not exist/)
      const next = await run(folder)
      assert.equal(next.code, 0, next.output)
      assert.equal((await loaded(folder)).length, 97)
    },
  )
})

for (const type of ['TIMESTAMPTZ', 'BIGINT'])
  test(`a row that changed before the rest was read is read by the next run: a watermark of ${type}`, async () => {
    const base = type === 'BIGINT' ? 5 : Date.now() - 3600_000
    const written = (at: number) => (type === 'BIGINT' ? at : new Date(at).toISOString())
    const rows = page(0, PAGES * SIZE).map(({ id }) => ({ id, changed: base + id }))
    const since: (string | null)[] = []
    let broken = true
    await serving(
      (_request, url, response) => {
        const number = numberOf(url) ?? 1
        if (number === 1 && url.searchParams.has('limit')) since.push(url.searchParams.get('since'))
        if (number === 4 && broken) return void json(response, '{}', 500)
        const records = rows.slice((number - 1) * SIZE, number * SIZE)
        const data = records.map(({ id, changed }) => ({ id, changed: written(changed) }))
        json(response, JSON.stringify({ data }))
      },
      async origin => {
        const folder = context(`changed_${type}`, origin, 'paginate: page', SIZE)
        const file = join(folder, 'job', 'job.yaml')
        const text = readFileSync(file, 'utf8')
          .replace('schema: { id: BIGINT }', `schema: { id: BIGINT, changed: ${type} }`)
          .replace('key: id }', 'key: id, incremental: { column: changed, param: since } }')
        writeFileSync(file, text)
        if (type === 'BIGINT') {
          broken = false
          const before = await run(folder)
          assert.equal(before.code, 0, before.output)
          broken = true
        }
        const failed = await run(folder)
        assert.equal(failed.code, 75, failed.output)
        // Of a page that was read, and then of one that was not.
        const change = type === 'BIGINT' ? 1000 : Date.now()
        rows[7]!.changed = change
        rows.at(-1)!.changed = change + 1
        broken = false
        await delay(5)
        const again = await run(folder, ['resume'])
        assert.equal(again.code, 0, again.output)
        assert.match(again.output, /goes on after 15 rows/)
        if (type === 'BIGINT') assert.match(again.output, /the watermark stays 44/)
        since.length = 0
        const next = await run(folder)
        assert.equal(next.code, 0, next.output)
        const [asked] = since
        assert.ok(
          type === 'BIGINT' ? Number(asked) <= change : Date.parse(asked!) <= change,
          `${asked}, ${written(change)}`,
        )
      },
    )
  })
