import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { StagedLoad } from '../../engine/contracts/load.ts'
import { quote } from '../../engine/sql/duckdb.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { loadError } from '../../src/connectors/mysql/targetSession.ts'
import { commitOf } from './loading.ts'
import {
  database,
  fresh,
  inWorkers,
  load,
  openAs,
  read,
  signal,
  stage,
  target,
  values,
} from './mysqlLoading.ts'

describe('mysql target loads', () => {
  test('texts differ by their bytes: case, accents and spaces at the end, in keys and values', async () => {
    await fresh()
    await load('L1', {}, values('id, x', "('a', 'x')", "('A', 'x')", "('á', 'x')"))
    assert.equal(await load('L2', {}, values('id, x', "('a', 'X')", "('A', 'x ')", "('á', 'x')")), '0 2 0 1')
    assert.equal(await load('L3', {}, values('id, x', "('a ', 'y')")), '1 0 0 0')
    assert.deepEqual(await read('SELECT id, x FROM t ORDER BY id'), ['A x ', 'a X', 'a  y', 'á x'])
  })

  test('a repeated load id does nothing; its sync point came with it; a second attempt waits for the first', async () => {
    await fresh()
    assert.deepEqual(await target.syncPoints('j', signal), [])
    assert.equal(await target.committed('L1', signal), undefined)
    const planned = await stage('L1', {}, values('id, x', '(1, 1)'))
    // What is staged is its owner's.
    const other = new MysqlTarget({ name: 'w', url: database.url })
    await stage('L1', {}, values('id, x', '(1, 1)'), other)
    const [first, second] = await Promise.all(
      [target, other].map(each =>
        each.commit(commitOf('L1', planned), signal).catch((error: Error) => error),
      ),
    )
    await other.abandon('L1')
    await other.close()
    const results = [first, second].filter(result => !(result instanceof Error))
    assert.ok(results.some(result => !(result as { repeated: boolean }).repeated))
    const again = await target.commit(commitOf('L1', planned), signal)
    assert.equal(again.repeated, true)
    assert.deepEqual(await target.committed('L1', signal), again)
    assert.deepEqual(await target.syncPoints('j', signal), [
      { extract: 'members', value: 'at L1', run: 'L1' },
    ])
    assert.deepEqual(await read('SELECT id, x FROM t'), ['1 1'])
    assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
  })

  test('loads of a job that are older than runs are kept are forgotten by its next one', async () => {
    await fresh()
    const loadOf = (job: string, run: number) => `${job}/20260${run}01T020000000-abcdef/w`
    const commit = async (loadId: string) => {
      const planned = await stage(loadId, {}, values('id, x', '(1, 1)'))
      await target.commit({ ...commitOf(loadId, planned), job: loadId.split('/')[0]! }, signal)
    }
    const [old, recent, last] = [1, 2, 3].map(run => loadOf('j', run)) as [string, string, string]
    const other = loadOf('i', 1)
    for (const loadId of [other, old, recent]) await commit(loadId)
    for (const [loadId, days] of [
      [other, 91],
      [old, 91],
      [recent, 89],
    ])
      await database.query(
        `UPDATE nightfreight_loads SET committed_at = UTC_TIMESTAMP() - INTERVAL ${days} DAY WHERE load_id = '${loadId}'`,
      )
    await commit(last)
    assert.deepEqual(await read('SELECT load_id FROM nightfreight_loads ORDER BY load_id'), [
      other,
      recent,
      last,
    ])
    assert.equal(await target.committed(old, signal), undefined)
    assert.equal((await target.committed(recent, signal))?.repeated, true)
  })

  test('a load that died between staging and commit leaves nothing after the next', async () => {
    await fresh()
    await stage(
      'dead',
      { deletes: 'hard', whole: true },
      { rows: values('id, x', '(1, 1)'), keys: values('id', '(2)') },
    )
    assert.equal((await read("SHOW TABLES LIKE 'nightfreight\\_stg%'")).length, 2)
    await load('L1', {}, values('id, x', '(3, 3)'))
    assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
    assert.deepEqual(await read('SELECT id FROM t'), ['3'])
  })

  test('the load says what it found gone, and stops over its limit', async () => {
    await fresh()
    await load('L1', {}, 'SELECT i::INTEGER AS id, i::INTEGER AS x FROM range(10) r(i)')
    const spec = { deletes: 'hard' as const, whole: true, guard: { maxDeleteShare: 0.2, allowEmpty: false } }
    const seven = 'SELECT i::INTEGER AS id, i::INTEGER AS x FROM range(7) r(i)'
    await assert.rejects(load('L2', spec, seven), { code: 'GUARD_STOPPED', message: /w\.t: 3 of 10 rows/ })
    assert.deepEqual(await read('SELECT COUNT(*) FROM t'), ['10'])
    assert.equal(await load('L3', spec, { rows: seven, keys: values('id', '(8)') }), '0 0 2 7')
    assert.deepEqual(await read('SELECT id FROM t WHERE id > 6'), ['8'])
  })

  test('random edits: every mode gives what the mode means', async () => {
    await fresh()
    const row = fc.record({
      id: fc.integer({ min: 1, max: 30 }),
      p: fc.constantFrom('x', 'X', '', null),
      v: fc.integer({ min: 0, max: 3 }),
    })
    const table = fc.uniqueArray(row, { selector: ({ id }) => id, minLength: 1, maxLength: 20 })
    type Table = { id: number; p: string | null; v: number }[]
    const sqlOf = (rows: Table, columns = 'id, p, v') =>
      `SELECT ${columns} FROM (SELECT id::INTEGER AS id, p::VARCHAR AS p, v::INTEGER AS v FROM (VALUES ${rows
        .map(({ id, p, v }) => `(${id}, ${p === null ? 'NULL' : quote(p)}, ${v})`)
        .join(', ')}) AS w(id, p, v))`
    const textOf = (rows: Table) =>
      rows.toSorted((a, b) => a.id - b.id).map(({ id, p, v }) => `${id} ${p ?? 'NULL'} ${v}`)
    const modes = [
      'append',
      'merge',
      'merge hard',
      'merge soft',
      'whole hard',
      'whole soft',
      'replace',
      'partition',
    ]
    let turn = 0
    await fc.assert(
      fc.asyncProperty(table, table, table, fc.constantFrom(...modes), async (first, second, gone, mode) => {
        await database.query('DROP TABLE IF EXISTS t')
        const loadId = `R${turn++}`
        const soft = mode.endsWith('soft')
        const spec: Partial<StagedLoad> = {
          mode: mode.split(' ')[0]!.replace('whole', 'merge') as StagedLoad['mode'],
          deletes: mode.endsWith('hard') ? 'hard' : soft ? 'soft' : 'keep',
          whole: mode.startsWith('whole') || mode === 'replace',
          ...(soft && { deletedAt: 'deleted_at' }),
          partitionBy: mode === 'partition' ? ['p'] : [],
        }
        await load(`${loadId}a`, spec, sqlOf(first))
        const listed = gone.filter(({ id }) => !second.some(other => other.id === id))
        const parted = [...first.filter(({ id }) => second.some(other => other.id === id)), ...second]
        const keys =
          mode === 'partition'
            ? sqlOf(parted, 'DISTINCT p')
            : listed.length > 0 && !/append|replace/.test(mode)
              ? sqlOf(listed, 'id')
              : undefined
        const half = second.length >> 1
        const rows =
          half > 0
            ? { rows: sqlOf(second.slice(0, half)), more: sqlOf(second.slice(half)) }
            : { rows: sqlOf(second) }
        const counts = await load(`${loadId}b`, spec, { ...rows, ...(keys !== undefined && { keys }) })

        const has = (rows: Table, id: number) => rows.find(other => other.id === id)
        const kept = first.filter(({ id, p }) => {
          if (has(second, id)) return false
          if (mode === 'append' || mode === 'merge') return true
          if (mode === 'replace') return false
          if (mode === 'partition') return !parted.some(other => other.p === p)
          return mode.startsWith('whole') === (has(listed, id) !== undefined)
        })
        const inserted = second.filter(({ id }) => !has(first, id))
        const updated = second.filter(({ id, p, v }) => {
          const old = has(first, id)
          return mode !== 'append' && old && (old.p !== p || old.v !== v)
        })
        const now = second.map(row => (mode === 'append' && has(first, row.id)) || row)
        const deleted = first.length - kept.length - (second.length - inserted.length)
        assert.equal(
          counts,
          [inserted.length, updated.length, deleted, second.length - inserted.length - updated.length].join(
            ' ',
          ),
        )
        const live = soft ? ' WHERE deleted_at IS NULL' : ''
        assert.deepEqual(await read(`SELECT id, p, v FROM t${live} ORDER BY id`), textOf([...kept, ...now]))
        if (soft) assert.equal((await read('SELECT id FROM t')).length, kept.length + now.length + deleted)
      }),
      { numRuns: 16, endOnFailure: true },
    )
  })

  test('columns that do not decide are written with those that do, not for themselves', async () => {
    await fresh()
    await load('L1', {}, values('id, x, seen', '(1, 1, 1)', '(2, 2, 1)'))
    const again = values('id, x, seen', '(1, 1, 2)', '(2, 3, 2)')
    assert.equal(await load('L2', { ignore: ['seen'] }, again), '0 1 0 1')
    assert.equal(await load('L3', { compare: ['x'] }, again), '0 0 0 2')
    assert.deepEqual(await read('SELECT id, x, seen FROM t ORDER BY id'), ['1 1 1', '2 3 2'])
  })

  test('a row marked as deleted that comes back is there again', async () => {
    await fresh()
    const spec = { deletes: 'soft' as const, deletedAt: 'gone', newer: 'v', stamp: 'at' }
    await load('L1', spec, values('id, v', '(1, 5)', '(2, 5)'))
    assert.equal(
      await load('L2', spec, { rows: values('id, v', '(2, 6)'), keys: values('id', '(1)') }),
      '0 1 1 0',
    )
    assert.deepEqual(await read('SELECT id, gone = at FROM t ORDER BY id'), ['1 1', '2 NULL'])
    assert.equal(await load('L3', spec, values('id, v', '(1, 5)')), '0 1 0 0')
    assert.deepEqual(await read('SELECT id, gone FROM t ORDER BY id'), ['1 NULL', '2 NULL'])
  })
})

describe('mysql target lacks', () => {
  test('a permission: it is named, and nothing is changed', async () => {
    await fresh('CREATE TABLE t (id int PRIMARY KEY, x int)')
    const { name, url } = database
    const user = `loader_${Date.now() % 1e6}`
    await database.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret-of-loader';
      GRANT SELECT, CREATE, DROP, ALTER, INDEX ON ${name}.* TO '${user}'@'%'`)
    try {
      for (const table of ['t', 'nightfreight'])
        assert.equal((await read(`SHOW TABLES LIKE '${table}%'`)).length, table === 't' ? 1 : 0)
      const own = new URL(url)
      own.username = user
      own.password = 'secret-of-loader'
      await openAs(own.href)
      await assert.rejects(load('L1', {}, values('id, x', '(1, 1)')), (error: Error & { code: string }) => {
        assert.equal(error.code, 'PERMISSION_DENIED')
        assert.match(error.message, /^w\.t: .*denied/)
        assert.doesNotMatch(error.message, /secret/)
        return true
      })
      await target.abandon('L1')
      assert.deepEqual(await read('SELECT * FROM t'), [])
      assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
    } finally {
      await database.query(`DROP USER '${user}'@'%'`)
    }
  })

  // MariaDB ends itself where the disk of a tablespace is full, so that no load can be tried.
  test('space: the server says so by these numbers', () => {
    for (const errno of [3, 1021, 1114]) {
      const error = loadError(Object.assign(new Error("The table 't' is full"), { errno }), 'w.t')
      assert.deepEqual(
        [(error as { code: string }).code, (error as Error).message],
        ['RESOURCE_EXHAUSTED', "w.t: The table 't' is full"],
      )
    }
  })
})

describe('mysql target connections', () => {
  before(inWorkers)

  const running = async (what: string) => {
    for (;;) {
      const [row] = await database.query<{ id: number }>(
        `SELECT id FROM information_schema.processlist WHERE db = '${database.name}' AND info LIKE '${what}%' AND id <> CONNECTION_ID()`,
      )
      if (row) return row.id
    }
  }
  const kill = async (what: string) => database.query(`KILL ${await running(what)}`)

  test('killed in LOAD DATA: the load fails as lost, and can be staged again', async () => {
    await fresh()
    const sql = "SELECT i AS id, repeat('x', 100) AS x FROM range(200000) r(i)"
    const killed = kill('LOAD DATA')
    await assert.rejects(stage('L1', {}, sql), { code: 'CONNECTION_LOST' })
    await killed
    await target.abandon('L1')
    assert.equal(await load('L1', {}, values('id, x', "(1, 'x')")), '1 0 0 0')
  })

  test('killed in the transaction: nothing of it remains, and the same target goes on', async () => {
    await fresh()
    const planned = await stage('L1', {}, "SELECT i AS id, repeat('x', 100) AS x FROM range(60000) r(i)")
    const killed = kill('INSERT INTO `nightfreight')
    await assert.rejects(target.commit(commitOf('L1', planned), signal), { code: 'CONNECTION_LOST' })
    await killed
    assert.equal(await target.committed('L1', signal), undefined)
    assert.equal((await target.commit(commitOf('L1', planned), signal)).counts[0]!.inserted, 60_000)
  })

  test('an abort ends the load at once', async () => {
    await fresh()
    const planned = await stage('L1', {}, "SELECT i AS id, repeat('x', 100) AS x FROM range(60000) r(i)")
    const controller = new AbortController()
    const aborted = running('INSERT INTO `nightfreight').then(() => controller.abort())
    await assert.rejects(target.commit(commitOf('L1', planned), controller.signal), { code: 'INTERRUPTED' })
    await aborted
    await target.abandon('L1')
    assert.equal(await target.committed('L1', signal), undefined)
  })

  test('a server without local_infile is told how to get it', () => {
    const refusal = Object.assign(new Error('the local infile capability is disabled'), { errno: 4166 })
    const error = loadError(refusal, 'w.t') as Error & { code: string; hint: string }
    assert.equal(error.code, 'PERMISSION_DENIED')
    assert.match(error.hint, /SET GLOBAL local_infile = 1/)
  })
})
