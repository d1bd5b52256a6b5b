import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { LaneModule, Read } from '../../engine/contracts/source.ts'
import type { EngineError } from '../../engine/errors.ts'
import { freshMariadb } from '../servers.ts'
import { limits, openLanes, signal, source } from './mysqlRead.ts'

const readOf = (options: { table: string; where?: string } | { query: string; where?: string }): Read => {
  return { extract: 'r', where: 'legacy.r', columns: [], key: [], options, limits }
}

describe('mysql: what a view holds', async () => {
  const db = await freshMariadb()

  it('leaves to its own read what cannot be opened, and takes a right to any column', async () => {
    await db.query(`create table few (id int primary key, hidden int); create table closed (id int);
      create user few_columns@'%' identified by 'pw'; grant select (id) on ${db.name}.few to few_columns@'%'`)
    const url = new URL(db.url)
    url.username = 'few_columns'
    url.password = 'pw'
    try {
      const [none, closed, few] = ['none', 'closed', 'few'].map(table => readOf({ table })) as [
        Read,
        Read,
        Read,
      ]
      const snapshot = await source(url.href).open(1, signal, [none, closed, few])
      const lanes = await openLanes(snapshot)
      try {
        await assert.rejects(snapshot.ranges(none), { code: 'PERMISSION_DENIED' })
        await assert.rejects(snapshot.ranges(closed), { code: 'PERMISSION_DENIED' })
        assert.equal((await snapshot.ranges(few)).length, 1)
      } finally {
        for (const lane of lanes) await lane.close()
        await snapshot.close()
      }
    } finally {
      await db.query("drop user few_columns@'%'")
    }
  })

  it('is refused for a while, not for want of a right, where a statement holds the read lock back and the log must be exact', async () => {
    await db.query('create table held_back (id int primary key); create table held (id int primary key)')
    await db.query('lock tables held write')
    try {
      const log = source(db.url).changeLog!
      const reads = [readOf({ table: 'held_back' })]
      await assert.rejects(log.open('r', 1, signal, reads, true), ({ code, message, hint }: EngineError) => {
        assert.equal(code, 'LOCK_TIMEOUT')
        assert.match(message, /gave no read lock within 10 s/)
        return /SHOW FULL PROCESSLIST/.test(hint!)
      })
    } finally {
      await db.query('unlock tables')
    }
  })

  it('is opened without a query being run, many tables in one statement', async () => {
    await db.query('create table t1 (id int)')
    const tables = Array.from({ length: 120 }, () => 't1')
    const queries = [
      'select sleep(60) as s',
      'select id, sleep(60) as s from t1 limit 5 -- some',
      'select 1 as id union select sleep(60) limit 1',
      'with w as (select id, sleep(60) as s from t1) select * from w',
      '(select id from t1) union all (select sleep(60))',
    ]
    const where = 'id in (select sleep(60) from t1) or sleep(60) = id or exists (select sleep(60))'
    const reads = [
      ...tables.map(table => readOf({ table })),
      ...queries.map(query => readOf({ query })),
      readOf({ table: 't1', where }),
      readOf({ query: 'select id from t1', where }),
    ]
    const snapshot = await source(db.url).open(2, signal, reads)
    const lanes = await openLanes(snapshot)
    try {
      for (const read of reads.slice(-8)) assert.equal((await snapshot.ranges(read)).length, 1)
    } finally {
      for (const lane of lanes) await lane.close()
      await snapshot.close()
    }
  })

  it('is all that is read, behind a view, a query and a condition, too', async () => {
    await db.query(`create table orders (id int primary key); create table behind (id int primary key);
      create view counted as select id, (select count(*) from behind b where b.id = orders.id) as n from orders`)
    const where = 'id in (select id from behind)'
    const query = 'select id from orders'
    const reads = [
      { table: 'counted' },
      { query: `${query} where ${where}` },
      { table: 'orders', where },
      { query, where },
    ]
    for (const options of reads) {
      const snapshot = await source(db.url).open(1, signal, [readOf(options)])
      try {
        const moved = db.query('set statement lock_wait_timeout = 1 for rename table behind to former')
        await assert.rejects(moved, /Lock wait timeout/, JSON.stringify(options))
      } finally {
        await snapshot.close()
      }
    }
  })

  it('lets no lane wait behind who waits for it', async () => {
    await db.query('create table waited (id int)')
    const snapshot = await source(db.url).open(1, signal, [readOf({ table: 'waited' })])
    const altered = db.query('rename table waited to former')
    try {
      await delay(200)
      const { openLane } = (await import(snapshot.lane.module)) as LaneModule
      await assert.rejects(openLane(snapshot.lane.payload, signal), { code: 'LOCK_TIMEOUT' })
    } finally {
      await snapshot.close()
      await altered
    }
  })
})
