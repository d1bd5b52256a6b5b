import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, test } from 'node:test'
import { PostgresTarget } from '../../../src/connectors/postgres/target.ts'
import { judgingProxy, type Verdict } from '../../proxy.ts'
import { freshPostgres } from '../../servers.ts'
import { commitOf, loading, rows, signal } from '../loading.ts'

const postgres = await freshPostgres()
const { stage, load } = loading()

beforeEach(() =>
  postgres.query(
    'DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public',
  ),
)

/** A target behind a proxy that cuts connections as `judge` says. */
async function behind(
  judge: (fromClient: Buffer) => Verdict,
  use: (target: PostgresTarget) => Promise<void>,
): Promise<void> {
  const proxy = await judgingProxy(postgres.url, judge)
  const target = new PostgresTarget({ name: 'w', url: proxy.url })
  try {
    await use(target)
  } finally {
    await target.close()
    await proxy.close()
  }
}

const many = `SELECT i::INT AS id, repeat('x', 100) AS x FROM range(20000) r(i)`
const held = async () => (await postgres.query<{ n: string }>('SELECT count(*) AS n FROM t'))[0]!.n

test('a connection lost while rows are sent fails the attempt; the next one starts over', async () => {
  await postgres.query('CREATE TABLE t (id int PRIMARY KEY, x text)')
  let sent = 0
  const judge = (bytes: Buffer): Verdict => {
    sent += bytes.length
    return sent > 1_000_000 && sent < 2_000_000 ? 'cut' : 'pass'
  }
  await behind(judge, async target => {
    await assert.rejects(stage(target, 'L1', {}, many), { code: 'CONNECTION_LOST' })
    assert.equal(await held(), '0')
    sent = 3_000_000
    assert.equal((await load(target, 'L1', {}, many)).inserted, 20_000)
  })
  assert.equal(await held(), '20000')
})

for (const [verdict, committed] of [
  ['cut', false],
  ['cut after the answer', true],
] as const)
  test(`a connection lost at COMMIT (${verdict}): the load id tells that it was ${committed ? '' : 'not '}committed`, async () => {
    let armed = true
    const judge = (bytes: Buffer): Verdict => (armed && bytes.includes('COMMIT\0') ? verdict : 'pass')
    await behind(judge, async target => {
      const planned = await stage(target, 'L1', {}, `${rows('(1, 1)', '(2, 1)')} AS v(id, x)`)
      await assert.rejects(target.commit(commitOf('L1', planned), signal), { code: 'CONNECTION_LOST' })
      armed = false
      const found = await target.committed('L1', signal)
      assert.equal(found?.counts[0]?.inserted, committed ? 2 : undefined)
      assert.equal((await target.syncPoints('j', signal)).length, committed ? 1 : 0)
      // As the next attempt does: what was committed is recognised, what was not is done.
      if (!committed) await stage(target, 'L1', {}, `${rows('(1, 1)', '(2, 1)')} AS v(id, x)`)
      const result = await target.commit(commitOf('L1', planned), signal)
      assert.deepEqual([result.repeated, result.counts[0]!.inserted], [committed, 2])
    })
    assert.equal(await held(), '2')
  })

test('a full disk is named, and the target is as it was', async context => {
  const space = mkdtempSync(join(tmpdir(), 'nightfreight-space-'))
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0777', 'none', space]).status !== 0)
    return context.skip('needs the right to mount')
  try {
    // The server's account is another than ours, and must own the folder.
    const [{ dir }] = (await postgres.query("SELECT current_setting('data_directory') AS dir")) as [
      { dir: string },
    ]
    execFileSync('chown', ['--reference', dir, space])
    for (let folder = join(space, '..'); folder !== '/'; folder = join(folder, '..'))
      if (folder.startsWith(tmpdir())) chmodSync(folder, 0o755)
    await postgres.query(`CREATE TABLESPACE small LOCATION '${space}'`)
    await postgres.query(
      `CREATE TABLE t (id int PRIMARY KEY, x text) TABLESPACE small; INSERT INTO t VALUES (0, 'old')`,
    )
    const target = new PostgresTarget({ name: 'w', url: postgres.url })
    try {
      await assert.rejects(load(target, 'L1', {}, many), {
        code: 'RESOURCE_EXHAUSTED',
        message: /^w\.t: .*No space left/,
      })
      await target.abandon('L1')
      assert.equal(await target.committed('L1', signal), undefined)
    } finally {
      await target.close()
    }
    assert.deepEqual(
      (await postgres.query<{ line: string }>("SELECT id || ' ' || x AS line FROM t")).map(
        ({ line }) => line,
      ),
      ['0 old'],
    )
    await postgres.query('DROP TABLE t')
    await postgres.query('DROP TABLESPACE small')
  } finally {
    spawnSync('umount', ['-l', space])
    rmSync(space, { recursive: true, force: true })
  }
})
