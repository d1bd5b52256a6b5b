import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Target } from '../../engine/contracts/target.ts'
import { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { openFiles, tableSql } from '../../src/connectors/lake/files.ts'
import { columnsOf, Log } from '../../src/connectors/lake/log.ts'
import { LakeTarget } from '../../src/connectors/lake/target.ts'
import type { FileStore } from '../../src/stores/store.ts'
import { commitOf, stageInto } from './lakeNight.ts'
import { newShelf, onS3, type Shelf, shelfAt } from './lakePlaces.ts'

const signal = new AbortController().signal
const FORMAT = { compression: 'snappy', target: 4000 } as const
const NIGHTS = 5
const ROWS = 600

/** One night's load of two tables in one commit: every row of both has the night's number. */
async function loadNight(duck: Duck, folder: string, store: FileStore, night: number) {
  const target: Target = new LakeTarget(store, 'w', FORMAT)
  const loadId = `L${night}`
  const sql = `SELECT i AS id, ${night} AS night, i % 3 AS p FROM range(${ROWS + night}) r(i)`
  const specs = [
    { table: 't', whole: true, deletes: 'hard' as const, partitionBy: ['p'] },
    { table: 'u', mode: 'replace' as const, key: [], whole: true },
  ]
  const loads = []
  for (const spec of specs) loads.push(await stageInto(duck, folder, target, { loadId, spec, sql }))
  const result = await target.commit(commitOf(loadId, loads), signal)
  await target.close()
  return result
}

/** The night that a reader sees, and how often each row is there; fails where it sees two nights, or a part of one. */
async function nightOf(duck: Duck, root: Shelf): Promise<number> {
  const store = root.store()
  const log = new Log(store)
  const commit = await log.newest()
  if (!commit) return 0
  const night = Number(commit.loadId.slice(1))
  assert.deepEqual(commit.syncPoints.j, [{ extract: 'members', value: `at L${night}`, run: `L${night}` }])
  for (const table of ['t', 'u']) {
    const manifest = (await log.manifest(commit, table))!
    const rows = tableSql(columnsOf(manifest), await openFiles(store, table, manifest.files))
    const [found] = await duck.rows(
      `SELECT count(*) AS n, count(DISTINCT id) AS ids, min(night) AS low, max(night) AS high FROM (${rows})`,
    )
    await store.clear()
    assert.deepEqual({ ...found }, { n: ROWS + night, ids: ROWS + night, low: night, high: night }, table)
  }
  return night
}

/** Where the files of the newest versions should be, sorted. */
async function currentFiles(root: Shelf): Promise<string[]> {
  const log = new Log(root.store())
  const newest = await log.newest()
  const manifests = await Promise.all(['t', 'u'].map(table => log.manifest(newest, table)))
  return manifests.flatMap(manifest => manifest!.files.map(({ path }) => `${manifest!.table}/${path}`)).sort()
}

// The same file is the process that is killed.
if (process.argv[2] === 'child') {
  const [place, folder] = process.argv.slice(3) as [string, string]
  const root = shelfAt(JSON.parse(place))
  const duck = await Duck.open({ threads: 1 })
  process.send?.('ready')
  for (let night = 1; night <= NIGHTS; night++) {
    await loadNight(duck, folder, root.store(), night)
    process.send?.(night)
  }
  process.disconnect?.()
} else {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-lake-crash-'))
  let duck: Duck
  before(async () => {
    duck = await Duck.open({ threads: 1 })
  })
  after(() => {
    duck.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('killed at random moments and run again: nothing is lost, nothing twice', async () => {
    const root = newShelf(folder)
    let seen = 0
    let kills = 0
    for (let done = false; !done; ) {
      const child = fork(import.meta.filename, ['child', JSON.stringify(root.place), folder])
      const ended = once(child, 'exit')
      await once(child, 'message')
      // Longer each time, or a slow machine would never see the end.
      const moment = sleep(Math.random() * 300 * 1.3 ** kills, 'kill' as const)
      done = (await Promise.race([ended, moment])) !== 'kill'
      if (!done) kills++
      child.kill('SIGKILL')
      await ended
      const night = await nightOf(duck, root)
      assert.ok(night >= seen, `night ${night} after ${seen}`)
      seen = night
    }
    assert.ok(kills > 0)
    assert.equal(seen, NIGHTS)
    assert.equal((await new Log(root.store()).newest())!.version, NIGHTS)
  })

  test('a reader sees one night, whole, at any time', async () => {
    const root = newShelf(folder)
    const reader = await Duck.open({ threads: 1 })
    let writing = true
    const seen: number[] = []
    const reading = (async () => {
      while (writing) seen.push(await nightOf(reader, root))
    })()
    // A fast machine loads the five between two of its looks: until it saw some of them.
    const nights = onS3 ? 2 : 3
    for (let night = 1; night <= NIGHTS || (new Set(seen).size < nights && night < 100); night++)
      await loadNight(duck, folder, root.store(), night)
    writing = false
    await reading
    reader.close()
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
    assert.ok(new Set(seen).size >= nights, String(seen))
  })

  /** A store whose process ends, or whose disk is full, at the nth write: before it or just after it. */
  function failing(store: FileStore, nth: number, when: 'before' | 'after', error: Error): FileStore {
    let writes = 0
    let dead = false
    return new Proxy(store, {
      get(target, name: keyof FileStore) {
        const value = target[name]
        if (typeof value !== 'function') return value
        return async (...args: unknown[]) => {
          if (dead) throw error
          const last =
            ['put', 'putIfAbsent', 'putFile', 'move', 'work', 'delete'].includes(name) && ++writes === nth
          if (last) dead = true
          if (last && when === 'before') throw error
          const result = await (value as (...args: unknown[]) => Promise<unknown>).apply(target, args)
          if (last) throw error
          return result
        }
      },
    })
  }

  const full = new EngineError('RESOURCE_EXHAUSTED', 'no space left')
  for (const [when, error] of [
    ['before', full],
    ['after', new Error('killed')],
  ] as const)
    test(`ended ${when} any write (${error.message}), a repeat gives the night, once`, async () => {
      const first = newShelf(folder)
      await loadNight(duck, folder, first.store(), 1)
      let failures = 0
      for (let nth = 1; ; nth++) {
        const root = await first.copy()
        const store = failing(root.store(), nth, when, error)
        let failed = false
        try {
          await loadNight(duck, folder, store, 2)
        } catch (thrown) {
          failed = true
          assert.equal(thrown, error)
        }
        const night = await nightOf(duck, root)
        assert.ok(night === 2 || failed, `night ${night}`)
        const { repeated, counts } = await loadNight(duck, folder, root.store(), 2)
        assert.equal(repeated, night === 2)
        assert.equal(await nightOf(duck, root), 2)
        assert.deepEqual(await root.names(/^[tu]\/.*\.parquet$/), await currentFiles(root))
        assert.deepEqual(
          counts.map(({ inserted, updated }) => [inserted, updated]),
          [
            [1, ROWS + 1],
            [ROWS + 2, 0],
          ],
        )
        assert.deepEqual(await root.names(/^_nightfreight\/work\//), [])
        // Beyond the commit nothing can fail the load, and the last writes are those after it.
        if (!failed) break
        failures++
      }
      assert.ok(failures >= 8, `${failures}`)
    })
}
