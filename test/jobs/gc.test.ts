import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { latestAlerts } from '../../src/metadata/alerts.ts'
import { overBoth } from '../metadata/stores.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './smallJob.ts'

const database = await freshPostgres()
const root = join(import.meta.dirname, '../..')

overBoth((fresh, kind) => {
  test('what the next night needs stays, everything else of old runs goes', async () => {
    const location = fresh()
    const { metadata, night, gc, loaded, staged } = await smallJob(database, location)
    const [first, second] = [await night(1), await night(2)]
    const aborted = await night(3, { signal: AbortSignal.abort() })
    const last = await night(4, { fresh: true })
    assert.deepEqual([first.read, second.read, last.read], [1, 2, 3], 'from the watermark on')
    const alerts = async () => (await latestAlerts(metadata.database, 9)).length
    await metadata.database.run(
      `INSERT INTO alerts (key, channel, job, run, kind, severity, state, payload, times, first_at, sent_at)
       VALUES ('k', 'log', 'j', NULL, 'failure', 'HIGH', 'resolved', '{}', 1, '2020-01-01T00:00:00.000Z', NULL)`,
    )
    const told = await alerts()
    await gc(0, true)
    await gc(0, false, 'another')
    assert.equal(await alerts(), told)
    assert.deepEqual(await gc(30), [])
    assert.equal(await alerts(), told - 1)

    const would = await gc(0, true)
    assert.deepEqual(
      would.map(({ run, what }) => [run, what]),
      [
        [first.run, 'files'],
        [second.run, 'files'],
        [aborted.run, 'run'],
      ],
    )
    assert.equal((await metadata.runs(9)).length, 4)
    assert.deepEqual(await gc(0), would)
    assert.deepEqual(await gc(0), [], 'nothing is left to remove')
    assert.deepEqual(
      readdirSync(join(staged, first.run), { recursive: true, withFileTypes: true })
        .filter(e => e.isFile())
        .map(e => e.name),
      ['part-00000-0.parquet'],
    )
    assert.equal(existsSync(join(staged, aborted.run)), false)
    assert.deepEqual(
      (await metadata.runs(9)).map(({ run }) => run),
      [last.run, second.run, first.run],
    )
    assert.match(
      readFileSync(join(location.home, 'nightfreight.log'), 'utf8'),
      new RegExp(`"${aborted.run}".*removed`),
    )

    const next = await night(5)
    assert.equal(next.error, undefined)
    assert.equal(next.read, 2, 'it still builds on the images')
    assert.equal(next.outcome.changes[0]!.counts.inserts, 1, 'and compares with the last state')
    assert.equal(await loaded(), '1,2,3,4,5')

    // Whoever reads a damaged manifest makes anew what it was of, and gc takes away what nobody reads.
    for (const file of globSync(join(staged, '*', '**', '*.json'))) writeFileSync(file, '{"parts": [')
    await gc(0)
    const mended = await night(6)
    assert.equal(mended.error, undefined)
    assert.equal(await loaded(), '1,2,3,4,5,6')
  })

  // Each call is a process: one store is enough.
  if (kind === 'postgres')
    test('history and gc on the command line, with METADATA_URL', async () => {
      const location = fresh()
      const { name, night } = await smallJob(database, location)
      await night(1)
      const failed = await night(2, { signal: AbortSignal.abort() })
      await night(3, { fresh: true })
      const run = async (...args: string[]) => {
        const { stdout } = await promisify(execFile)(process.execPath, ['src/main.ts', ...args], {
          cwd: root,
          env: { ...process.env, NIGHTFREIGHT_HOME: location.home, METADATA_URL: location.url },
        })
        return stdout
      }
      const { runs } = JSON.parse(await run('history', name, '--json', '--since', '2026-03-03'))
      assert.deepEqual(
        runs.map((row: Record<string, unknown>) => [row.status, row.records_processed]),
        [
          ['SUCCESS', 2],
          ['FAILED', 0],
        ],
      )
      assert.match(
        await run('gc', '--dry-run'),
        new RegExp(`${failed.run}  \\d+ files.*\nWould remove 1 run,`),
      )
      const { removed } = JSON.parse(await run('gc', '--keep-days', '10', '--json'))
      assert.equal(removed.length, 2)
      assert.match(
        await run('history', name),
        new RegExp(
          `^2026-03-04 02:00:00  ${name}  \\S+  SUCCESS +\\d+\\.\\d s  2 records\n2026-03-02 .*  1 record\n$`,
        ),
      )
    })
})
