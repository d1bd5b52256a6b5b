import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'
import { json, serving } from '../connectors/http/serving.ts'

const folder = mkdtempSync(join(tmpdir(), 'nf-refresh-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function job(origin: string, { refresh = 'refresh: 7d, ', take = 'all', path = '/countries' } = {}) {
  mkdirSync(join(folder, 'job'), { recursive: true })
  writeFileSync(
    join(folder, 'job', 'job.yaml'),
    `job: places
connections:
  api: { url: "${origin}" }
  drop: file://${folder}/drop
  warehouse: duckdb:${join(folder, 'w.duckdb')}
extract:
  countries: { from: api, path: ${path}, ${refresh}key: code, schema: { code: VARCHAR, name: VARCHAR } }
  cities: { from: drop, files: "*.csv", ${take === 'all' ? '' : refresh}take: ${take}, key: id, schema: { id: BIGINT, code: VARCHAR } }
load:
  places: { to: warehouse, from: joined, key: id, deletes: hard, guard: { max_delete_share: 1 } }
`,
  )
  writeFileSync(join(folder, 'job', 'joined.sql'), 'SELECT id, name FROM cities JOIN countries USING (code)')
}

const run = (at: string, command = 'run') =>
  commandLine(join(folder, 'home'), [command, join(folder, 'job'), '--at', at, '--json'])

async function places() {
  const duck = await Duck.open({ path: join(folder, 'w.duckdb') })
  try {
    return (await duck.rows('SELECT id, name FROM places ORDER BY id')).map(({ id, name }) => `${id} ${name}`)
  } finally {
    duck.close()
  }
}

test('a reference table is read again when its time is over, or what is asked for is another', async () => {
  let asked = 0
  await serving(
    (_request, url, response) => {
      if (url.pathname !== '/health') asked++
      const name = `Land, read ${asked} times`
      json(response, JSON.stringify({ data: [{ code: 'X', name }] }))
    },
    async origin => {
      mkdirSync(join(folder, 'drop'))
      const night = async (at: string) => {
        const { code, output } = await run(at)
        assert.equal(code, 0, output)
        return output
      }
      job(origin)
      writeFileSync(join(folder, 'drop', '1.csv'), 'id,code\n1,X\n')
      await night('2026-01-01T02:00:00Z')
      writeFileSync(join(folder, 'drop', '2.csv'), 'id,code\n2,X\n')
      const second = await night('2026-01-02T02:00:00Z')
      assert.match(second, /api.countries: is not read: as of 2026-01-01T02:00:00.000Z, by its refresh/)
      assert.equal(asked, 1)
      assert.deepEqual(await places(), ['1 Land, read 1 times', '2 Land, read 1 times'])
      rmSync(join(folder, 'drop', '1.csv'))
      // A night later than the last, and still within the time since it was read.
      await night('2026-01-08T01:59:59Z')
      assert.equal(asked, 1)
      assert.deepEqual(await places(), ['2 Land, read 1 times'])
      const plan = await run('2026-01-08T02:00:00Z', 'plan')
      assert.equal(plan.code, 0, plan.output)
      assert.equal(asked, 2)
      // Nothing was loaded by the plan, so what it read is not what is known.
      await night('2026-01-08T02:00:00Z')
      assert.equal(asked, 3)
      assert.deepEqual(await places(), ['2 Land, read 3 times'])
      job(origin, { path: '/lands' })
      await night('2026-01-08T03:00:00Z')
      assert.equal(asked, 4)
    },
  )
})

test('what cannot be refreshed is refused', async () => {
  job('http://127.0.0.1:59999', { refresh: 'refresh: soon, ' })
  const wrong = await run('2026-02-01T00:00:00Z')
  assert.equal(wrong.code, 2)
  assert.match(
    wrong.output,
    /extract.countries.refresh: expected a duration such as 30s, 5m or 6h; found .*soon/,
  )
  await serving(
    (_request, _url, response) => json(response, '{"data":[]}'),
    async origin => {
      job(origin, { take: 'new' })
      const drop = await run('2026-02-01T00:00:00Z')
      assert.equal(drop.code, 2)
      assert.match(drop.output, /drop.cities: refresh is for tables that are read whole/)
    },
  )
})
