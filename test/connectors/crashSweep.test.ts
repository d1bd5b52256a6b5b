import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { duckdbKind, lakeKind, mysqlKind, postgresKind } from './everyMode.ts'
import { isCommit, LEDGER, nameOf, Sweep } from './sweep.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-sweep-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A few of `npm run soak:modes`: of each load one blow, at another step each. */
const LOADS = [
  'appended, next load',
  'merged, first load',
  'merged_soft, whole load',
  'merged_newer_hard, next load',
  'replaced, next load',
  'replaced_whole, next load',
  'partitioned, next load',
  'history_hard, next load',
  'history_newer_soft, whole load',
  'batched_hard, next load',
  'batched_history, next load',
]

for (const { kind, fresh } of [
  { kind: postgresKind, fresh: (t: Hooks) => freshPostgres(t) },
  { kind: mysqlKind, fresh: (t: Hooks) => freshMariadb(t) },
  { kind: duckdbKind },
  { kind: lakeKind },
])
  test(`${kind.name}: a load that is disturbed and repeated leaves what an undisturbed one leaves`, async t => {
    const database = await fresh?.(t)
    const own = join(folder, kind.name)
    const sweep = new Sweep(kind, database?.url ?? join(own, 'place'), own, database?.query)
    await sweep.prepare()
    const cases = sweep.cases.filter(one => LOADS.includes(nameOf(one)))
    for (const [turn, one] of cases.entries()) {
      const { steps, state } = await sweep.undisturbed(one)
      const commit = steps.findLastIndex(isCommit)
      assert.ok(commit > 0, steps.join('\n'))
      const blows = (at: number) => sweep.blows(one, steps, at)
      const writing = [...steps.keys()].filter(at => at < commit && blows(at).includes('kill before'))
      // At the end: killed once COMMIT is sent, refused or its session ended, killed before our store.
      const ends = { 0: [commit, 3], 3: [commit, -1], 6: [steps.indexOf(LEDGER), 0] }[turn]
      const nth = ends?.[0] ?? writing[(turn * 5) % writing.length]!
      const blow = blows(nth).at(ends?.[1] ?? turn % 4)!
      await t.test(`${nameOf(one)}: ${blow}: ${steps[nth]}`, () => sweep.trial(one, steps, nth, blow, state))
    }
  })
