import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { notesInto, smallJob } from './small.ts'

const yaml = (url: string, columns: string) => `
connections:
  drop: { url: "file:in" }
  wh: { url: "${url}" }
extract:
  t: { from: drop, files: "*.csv", take: all, key: id, schema: { id: BIGINT, ${columns} } }
load:
  t: { to: wh, from: t, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
timeouts: { lock: 15s }
alerts:
  channels: { note: { command: ["sh", "-c", "cat >> alerts.txt; echo >> alerts.txt"] } }
  on: { sla: [note] }
`

const AS = {
  /** Who is loaded as. */
  owner: async ({ url }: FreshDatabase) => url,
  /** One to whom the server tells little of others' sessions. */
  plain: async ({ url, name, query }: FreshDatabase) => {
    await query(`CREATE ROLE ${name} LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE ${name} TO ${name};
      GRANT ALL ON SCHEMA public TO ${name}`)
    return url.replace(/\/\/[^@]*@/, `//${name}:p@`)
  },
}

describe('a load that waits for a lock says for which, who holds it and since when, and not for ever', {
  concurrency: true,
}, () => {
  for (const [kind, fresh, as, lock, held] of [
    [
      'postgres: table',
      freshPostgres,
      AS.owner,
      'BEGIN; LOCK TABLE t IN EXCLUSIVE MODE',
      /waits for a lock on t, held by process (\d+) \(.*user .*\) since 20.* \(SELECT pg_terminate_backend\(\1\) ends it\)/,
    ],
    [
      'postgres: row',
      freshPostgres,
      AS.plain,
      'BEGIN; UPDATE t SET v = v WHERE id = 1',
      /waits for a lock on a row of t, held by process \d+ \(.*user .*\)(; waits)? since 20/,
    ],
    [
      'mariadb: row',
      freshMariadb,
      AS.owner,
      'BEGIN; SELECT * FROM t FOR UPDATE',
      /waits for a lock on .*t.*, held by process (\d+) \(.*user .*\) since 20.* \(KILL \1 ends it\)/,
    ],
    [
      'mariadb: table',
      freshMariadb,
      AS.owner,
      'BEGIN; SELECT count(*) FROM t',
      /waits: Waiting for table metadata lock, perhaps for process \d+ \(.*user .*\) since 20/,
    ],
  ] as const)
    test(kind, async t => {
      const database = await fresh(t)
      const url = await as(database)
      const job = await smallJob(t, `locked_${kind.replace(': ', '_')}`, {
        'job.yaml': yaml(url, 'v: VARCHAR'),
      })
      mkdirSync(`${job.folder}/in`)
      writeFileSync(`${job.folder}/in/a.csv`, 'id,v\n1,a\n')
      assert.equal((await job.run()).error, undefined)
      // A column more, so that the table as such is to be changed.
      if (kind === 'mariadb: table') job.yaml(yaml(url, 'v: VARCHAR, w: VARCHAR'))
      writeFileSync(`${job.folder}/in/a.csv`, 'id,v,w\n1,b,c\n')
      for (const statement of lock.split('; ')) await database.query(statement)
      const notes: string[] = []
      const running = job.run({ progress: notesInto(notes) })
      for (let tries = 0; !notes.some(note => held.test(note)); tries++) {
        assert.ok(tries < 400, notes.join('\n'))
        await delay(50)
      }
      assert.match((await job.cli('status')).out, held)
      const { error } = await running
      assert.ok(error instanceof EngineError)
      assert.deepEqual([error.code, error.exitCode], ['LOCK_TIMEOUT', 75], String(error))
      assert.match(error.message, held)
      await database.query('ROLLBACK')
      assert.match(readFileSync(`${job.folder}/alerts.txt`, 'utf8'), held)
      assert.equal((await job.run()).error, undefined)
    })
})
