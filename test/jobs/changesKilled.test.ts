/** Tables that are read whole before their log is, by runs that are killed: what was read is kept, and the log mends it. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type Following, follow } from './following.ts'

const warehouse = await freshPostgres()
const ROWS = 150_000

const KINDS = [
  { kind: 'postgres', fresh: freshPostgres, series: `generate_series(1, ${ROWS}) AS i`, i: 'i' },
  { kind: 'mariadb', fresh: freshMariadb, series: `seq_1_to_${ROWS}`, i: 'seq' },
]

/** Runs the job, and kills it once some of the table is kept, and not all. */
async function killed({ job }: Following, ...flags: string[]): Promise<void> {
  let child: ChildProcess | undefined
  const ended = commandLine(job.home, ['run', job.folder, ...flags], {
    begun: process => {
      child = process
    },
  })
  while (globSync(join(job.home, '**/progress/*.json')).length === 0) {
    assert.equal(child!.exitCode, null, 'it ended before it was killed')
    await delay(5)
  }
  child!.kill('SIGKILL')
  assert.equal((await ended).signal, 'SIGKILL')
}

const shifting = (kind: string) => {
  const text = (times: number) => `repeat('y', ${times})`
  return [
    // On both sides of where the reader was, and across.
    `UPDATE long_read SET n = n + 1 WHERE id % 1000 = 7`,
    `UPDATE long_read SET note = ${text(30)} WHERE id % 1000 = 8`,
    `DELETE FROM long_read WHERE id % 1000 = 9`,
    `UPDATE long_read SET id = id + 10000000 WHERE id % 5000 = 10`,
    `UPDATE long_read SET id = 10000000 - id WHERE id > 149000 AND id % 100 = 11`,
    `INSERT INTO long_read VALUES (-1, 1, 'first'), (20000000, 1, 'last')`,
    ...(kind === 'postgres' ? ['VACUUM long_read'] : []),
    `DELETE FROM long_read WHERE id = 8`,
    `INSERT INTO long_read VALUES (8, 8, 'again')`,
  ]
}

for (const { kind, fresh, series, i } of KINDS)
  test(`${kind}: a table that is being read goes on where its reader was killed, twice, and is what it is now`, async t => {
    const followed = await follow(t, {
      fresh,
      warehouse,
      table: 'long_read',
      statements: [
        'CREATE TABLE long_read (id int PRIMARY KEY, n int, note varchar(100))',
        `INSERT INTO long_read SELECT ${i}, ${i}, 'xxxxxxxxxxxxxxxxxxxxx' FROM ${series}`,
      ],
    })
    const { query, night, notes } = followed
    await killed(followed)
    for (const sql of shifting(kind)) await query(sql)
    await killed(followed)
    await query('UPDATE long_read SET n = -1 WHERE id < 50 OR id % 1000 = 12')
    await query('DELETE FROM long_read WHERE id % 1000 = 13')
    await night()
    assert.match(notes.join('\n'), /s\.long_read: goes on after [1-9]\d* rows, at /)
    await query('UPDATE long_read SET n = 5 WHERE id = 20')
    assert.deepEqual(await night(), { read: 1, inserted: 0, updated: 1, deleted: 0 })
  })

test('postgres: a table whose rows were written anew meanwhile is read anew, from its first row', async t => {
  const followed = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'moving',
    statements: [
      'CREATE TABLE moving (id int PRIMARY KEY, n int)',
      `INSERT INTO moving SELECT i, i FROM generate_series(1, ${ROWS}) AS i`,
    ],
  })
  const { query, night, notes } = followed
  await killed(followed)
  await query('DELETE FROM moving WHERE id % 2 = 0')
  await query('VACUUM FULL moving')
  await night()
  assert.match(notes.join('\n'), /moving: is read anew from its first row: .*made anew/)
})

for (const { kind, fresh, series, i } of KINDS)
  test(`${kind}: what other tables' logs told before the view of a table that is gone on with is not passed over`, async t => {
    const followed = await follow(t, {
      fresh,
      warehouse,
      table: 'known',
      statements: ['CREATE TABLE known (id int PRIMARY KEY, n int)', 'INSERT INTO known VALUES (1, 1)'],
    })
    const { job, yaml, query, night } = followed
    await night()
    await query('CREATE TABLE long_read (id int PRIMARY KEY, n int, note varchar(100))')
    await query(`INSERT INTO long_read SELECT ${i}, ${i}, 'xxxxxxxxxxxxxxxxxxxxx' FROM ${series}`)
    await query('UPDATE known SET n = 2')
    await query('INSERT INTO known VALUES (2, 2)')
    job.yaml(
      yaml
        .replace('extract: {', 'extract: { long_read: { from: s, table: long_read, mode: changes },')
        .replace('load: {', 'load: { long_read: { to: w, from: long_read, key: id, deletes: hard },'),
    )
    await killed(followed)
    await query('INSERT INTO known VALUES (3, 3)')
    await query('UPDATE long_read SET n = n + 1 WHERE id % 1000 = 7')
    const { inserted, updated } = await night()
    assert.deepEqual([inserted, updated], [2, 1])
  })
