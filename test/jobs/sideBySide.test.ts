import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { createLog } from '../../src/cli/log.ts'
import type { Connector } from '../../src/connectors/declare/define.ts'
import { duckdb } from '../../src/connectors/duckdb/index.ts'
import { postgres } from '../../src/connectors/postgres/index.ts'
import { runJob } from '../../src/runs/runJob.ts'
import { turnOf } from '../../src/runs/turn.ts'
import type { JobSpec } from '../../src/spec/job.ts'
import { commandLine } from '../commandLine.ts'
import { overBoth } from '../metadata/stores.ts'
import { freshPostgres } from '../servers.ts'

const database = await freshPostgres()
let jobs = 0

overBoth(fresh => {
  test('runs of one job side by side load in the order in which they began, each compared with what the one before left', async t => {
    const location = fresh()
    const name = `side_${++jobs}`
    const folder = join(location.home, 'queries')
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, 'job.yaml'),
      `job: ${name}
schedule: { cron: "0 2 * * *", max_active_runs: 2 }
connections: { db: "${database.url}" }
extract: { items: { from: db, table: ${name}, key: id } }
load: { ${name}_loaded: { to: db, from: items, key: id, mode: replace } }
resources: { memory: 300MB, threads: 1 }
`,
    )
    await database.query(`CREATE TABLE ${name} (id int NOT NULL PRIMARY KEY, n int)`)
    await database.query(`INSERT INTO ${name} SELECT i, 0 FROM generate_series(1, 9) AS i`)
    const metadata = await location.open()
    const log = createLog({ folder: location.home })
    const notes: string[] = []
    const night = async (day?: number) => {
      const at = (of: number) => new Date(Date.UTC(2026, 0, of, 2))
      const claim = async (of: number) => {
        const demanded = await metadata.intervals.demand({ job: name, start: at(of), end: at(of + 1) })
        const [taken] = await metadata.intervals.take([demanded])
        return { claim: taken!, end: at(of + 1).toISOString(), trigger: 'schedule' as const }
      }
      const result = await runJob({
        folder,
        env: {},
        home: location.home,
        metadata,
        clock: { now: () => new Date() },
        progress: { started() {}, advanced() {}, finished() {}, note: text => notes.push(text) },
        signal: new AbortController().signal,
        ...(day !== undefined && { interval: await claim(day) }),
        log,
        secrets: [],
      })
      assert.equal(result.error, undefined)
      return result
    }
    const until = async (what: () => boolean | Promise<boolean>) => {
      for (let n = 0; n < 600 && !(await what()); n++) await delay(50)
      assert.ok(await what())
    }
    const isDone = async (task: string) => {
      for (const { run } of await metadata.activeRuns(name))
        if ((await metadata.tasks(run)).some(one => one.task === task && one.status === 'SUCCESS'))
          return true
      return false
    }
    await night()
    const holder = new pg.Client(database.url)
    await holder.connect()
    t.after(() => holder.end())
    await database.query(`UPDATE ${name} SET n = 1 WHERE id = 5; INSERT INTO ${name} VALUES (10, 1)`)
    await holder.query(`BEGIN; LOCK TABLE ${name}_loaded IN SHARE MODE`)
    const first = night(1)
    await until(() => isDone(`diff.${name}_loaded`))
    await database.query(`UPDATE ${name} SET n = 0 WHERE id = 5; DELETE FROM ${name} WHERE id = 10`)
    const second = night(2)
    await until(() => notes.some(note => /^waits for run \S+, which began before it, to load$/.test(note)))
    await holder.query('COMMIT')
    const [one, two] = await Promise.all([first, second])
    assert.ok(one.run < two.run)
    const differing = `(TABLE ${name} EXCEPT TABLE ${name}_loaded) UNION ALL (TABLE ${name}_loaded EXCEPT TABLE ${name})`
    assert.deepEqual(await database.query(differing), [])
    assert.deepEqual(
      two.outcome.loaded.map(({ updated, deleted }) => [updated, deleted]),
      [[1, 1]],
    )
  })
})

test('two connections into one lake are loaded by one run, and by the next', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-side-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'in.csv'), 'id,n\n1,1\n2,2\n')
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: two
connections: { drop: "file://${folder}", a: "lake://${folder}/lake", b: "lake://${folder}/lake" }
extract: { items: { from: drop, files: in.csv, take: all, key: id, schema: { id: INT, n: INT } } }
load:
  one: { to: a, from: items, key: id, on_error: continue }
  two: { to: b, from: items, key: id, on_error: continue }
parallelism: { max_parallel_loads: 1 }
`,
  )
  for (const n of [1, 2]) {
    writeFileSync(join(folder, 'in.csv'), `id,n\n1,${n}\n2,2\n`)
    const { code, output } = await commandLine(join(folder, 'home'), ['run', folder, '--json'])
    assert.equal(code, 0, output)
  }
})

test('a run whose reading takes something away, or that has its target alone, waits before its plan', () => {
  const of = (extract: object, to: Pick<Connector, 'capabilities'> = postgres) =>
    turnOf({
      extracts: [{ options: {} }, extract],
      loads: [{ to: 'w' }],
      connections: { w: { connector: to } },
    } as unknown as JobSpec)
  assert.equal(of({ options: { files: ['*'], after: 'keep' } }), 'diff')
  assert.equal(of({ options: { table: 't' } }), 'diff')
  for (const after of ['move', 'delete', 'archive']) assert.equal(of({ options: { after } }), 'plan')
  assert.equal(of({ options: {}, changes: {} }), 'plan')
  assert.equal(of({ options: {} }, duckdb), 'plan')
})
