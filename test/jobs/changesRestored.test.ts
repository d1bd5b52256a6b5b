/** A source that is put back to an older state, its replication slot with it, writes another log over the same positions. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ask, connect, disconnect } from '../../src/connectors/postgres/connect.ts'
import { type PostgresServer, startPostgres } from '../../src/demo/servers/postgres.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const warehouse = await freshPostgres()

async function copy(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

test('postgres: what a server that was restored has in place of what was read is not passed over', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-restored-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  let server: PostgresServer = await startPostgres({ dir })
  t.after(() => server.stop())
  const query = async (sql: string) => {
    const client = await connect({ url: server.url }, 'source')
    try {
      return await ask(client, 'source', sql)
    } finally {
      await disconnect(client)
    }
  }
  const LIST = 'SELECT id::text AS id FROM restored ORDER BY restored.id'
  const env: Record<string, string> = {}
  const job = await smallJob(t, 'restored', {
    'job.yaml': `connections: { s: "\${SOURCE_URL}", w: "${warehouse.url}" }
extract: { restored: { from: s, table: restored, mode: changes } }
load: { restored: { to: w, from: restored, key: id, deletes: hard, guard: { max_delete_share: 1 } } }
resources: { memory: 300MB, threads: 2 }
`,
  })
  const run = async (fullRefresh?: string[]) => {
    env.SOURCE_URL = server.url
    return await job.run({ env, fresh: true, ...(fullRefresh && { fullRefresh }) })
  }
  const loads = async (fullRefresh?: string[]) => {
    assert.equal((await run(fullRefresh)).error, undefined)
    assert.deepEqual(await warehouse.query(LIST), await query(LIST))
  }
  const isLost = async (message: RegExp) => {
    const { error } = await run()
    assert.equal((error as { code?: string } | undefined)?.code, 'LOG_LOST', String(error))
    assert.match(String(error), message)
    await loads([])
  }
  const backup = join(dir, 'backup')
  const saved = (data: string) => copy(data, backup)
  const restored = async (data: string) => {
    rmSync(data, { recursive: true })
    await copy(backup, data)
  }
  await query('CREATE TABLE restored (id int PRIMARY KEY)')
  await query('INSERT INTO restored VALUES (1)')
  await loads()
  await query('INSERT INTO restored VALUES (2)')
  await loads()
  server = await server.restart(saved)
  await query('INSERT INTO restored VALUES (3)')
  await loads()

  server = await server.restart(restored)
  await isLost(/its log ends at \S+, before \S+, up to which it was read, as after the server was restored/)

  server = await server.restart(async data => {
    rmSync(backup, { recursive: true })
    await saved(data)
  })
  await query('INSERT INTO restored VALUES (4)')
  await loads()
  server = await server.restart(restored)
  await query('INSERT INTO restored VALUES (5)')
  await query('INSERT INTO restored SELECT generate_series(100, 3000)')
  await isLost(/its log up to \S+ is another one than was read, as after the server was restored/)

  // A server that goes on where it was is no other.
  await query('INSERT INTO restored VALUES (6)')
  await loads()
  server = await server.restart(async () => {})
  await query('INSERT INTO restored VALUES (7)')
  await loads()
})
