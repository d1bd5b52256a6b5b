import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const yaml = (url: string, lock: string) => `
connections:
  drop: { url: "file:in" }
  wh: { url: "${url}" }
extract:
  t: { from: drop, files: "*.csv", take: all, key: id, schema: { id: BIGINT, v: VARCHAR } }
load:
  t: { to: wh, from: t, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
timeouts: { lock: ${lock} }
alerts:
  channels: { note: { command: ["sh", "-c", "cat >> alerts.txt; echo >> alerts.txt"] } }
  on: { sla: [note] }
`

for (const [kind, fresh, lock, held] of [
  [
    'postgres',
    freshPostgres,
    'BEGIN; LOCK TABLE t IN EXCLUSIVE MODE',
    /waits for a lock on t, held by process \d+ \(.*user .*\) since 20/,
  ],
  [
    'mariadb',
    freshMariadb,
    'BEGIN; SELECT * FROM t FOR UPDATE',
    /waits for a lock on .*t.*, held by process \d+ \(.*user .*\) since 20/,
  ],
] as const)
  test(`a load that waits for a lock says for which, who holds it and since when, and not for ever: ${kind}`, async t => {
    const database = await fresh(t)
    const job = await smallJob(t, `locked_${kind}`, { 'job.yaml': yaml(database.url, '9s') })
    mkdirSync(`${job.folder}/in`)
    writeFileSync(`${job.folder}/in/a.csv`, 'id,v\n1,a\n')
    assert.equal((await job.run()).error, undefined)
    writeFileSync(`${job.folder}/in/a.csv`, 'id,v\n1,b\n')
    for (const statement of lock.split('; ')) await database.query(statement)
    const notes: string[] = []
    const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
    const running = job.run({ progress })
    for (let tries = 0; !notes.some(note => held.test(note)); tries++) {
      assert.ok(tries < 400, notes.join('\n'))
      await delay(50)
    }
    assert.match((await job.cli('status')).out, held)
    const { error } = await running
    assert.ok(error instanceof EngineError)
    assert.equal(error.exitCode, 75, String(error))
    await database.query('ROLLBACK')
    assert.match(readFileSync(`${job.folder}/alerts.txt`, 'utf8'), held)
    assert.equal((await job.run()).error, undefined)
  })
