import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setPools } from '../../src/metadata/pools.ts'
import { ownName } from '../../src/util/owner.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const { url, query } = await freshPostgres()

const job = async (name: string) => {
  await query(`CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} VALUES (1), (2)`)
  return smallJob({ after }, name, {
    'job.yaml': `connections: { here: "${url}" }
extract: { ids: { from: here, table: ${name}, key: id, pool: db } }
load: { ${name}_loaded: { to: here, from: ids, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
}

test('an extract waits for a slot of its pool, whoever holds it; those of a dead process are free', async () => {
  const made = await job('shared')
  const { metadata } = made
  const slot = 'pool/db/0'
  await setPools(metadata.database, new Map([['db', 1]]))
  const held = (await metadata.leases.acquire(slot, ownName()))!
  const events: string[] = []
  const waits = Promise.withResolvers<void>()
  const ended = made.run({
    progress: {
      started: task => void events.push(task),
      advanced() {},
      finished() {},
      note(text) {
        if (text === 'waits for the pool db, whose slot is taken') waits.resolve()
      },
    },
  })
  await waits.promise
  await delay(700)
  assert.deepEqual(events, [], 'nothing is read')
  await metadata.leases.release(held)
  assert.equal((await ended).error, undefined)
  assert.equal(events[0], 'extract.ids')
  assert.equal(await metadata.leases.holder(slot), undefined, 'given back')

  await metadata.leases.acquire(slot, `${hostname()}:4194303:1`)
  assert.equal((await made.run()).error, undefined)
})

test('a run that waits for a pool stops when it is told to', async () => {
  const made = await job('told')
  await setPools(made.metadata.database, new Map([['db', 0]]))
  const stop = new AbortController()
  const note = (text: string) => {
    if (text.startsWith('waits for the pool')) stop.abort()
  }
  const result = await made.run({
    stop: stop.signal,
    progress: { started() {}, advanced() {}, finished() {}, note },
  })
  assert.match((result.error as Error).message, /stopped on request, before extract\.here/)
})
