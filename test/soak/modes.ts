/**
 * `npm run soak:modes [-- words…]`: every load of every mode, on every target, is disturbed at each of its steps: killed
 * before and while it is under way, its connection lost before and after the answer (where there is no connection, the
 * step fails), its session ended and its COMMIT refused. Each time it is repeated, and the target must be what an
 * undisturbed load leaves, with nothing staged. Words keep the loads whose name contains one: `mysql`, `lake: history`.
 * Prints what differed; the exit code is 1 then. About 0.3 s a failure and 1 s a kill: two hours for all.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { duckdbKind, lakeKind, mysqlKind, postgresKind } from '../connectors/everyMode.ts'
import { nameOf, Sweep } from '../connectors/sweep.ts'
import { ensureMariadb } from '../mariadb.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const words = process.argv.slice(2)
const cleaners: (() => Promise<void>)[] = []
const hooks = { after: (clean: () => Promise<void>) => void cleaners.unshift(clean) }
const folder = mkdtempSync(join(tmpdir(), 'nightfreight-modes-'))
ensureMariadb()
const postgres = await startPostgres({ dir: folder })
const mariadb = await startMariadb({ dir: folder })
hooks.after(async () => {
  await Promise.all([postgres.stop(), mariadb.stop()])
  rmSync(folder, { recursive: true, force: true })
})
process.env.TEST_POSTGRES_URL = postgres.url
process.env.TEST_MARIADB_URL = mariadb.url

let trials = 0
let failures = 0
for (const { kind, fresh } of [
  { kind: postgresKind, fresh: freshPostgres },
  { kind: mysqlKind, fresh: freshMariadb },
  { kind: duckdbKind },
  { kind: lakeKind },
]) {
  const database = await fresh?.(hooks)
  const own = join(folder, kind.name)
  const sweep = new Sweep(kind, database?.url ?? join(own, 'place'), own, database?.query)
  await sweep.prepare()
  for (const one of sweep.cases) {
    const name = `${kind.name}: ${nameOf(one)}`
    if (words.length > 0 && !words.some(word => name.includes(word))) continue
    const { steps, state } = await sweep.undisturbed(one)
    for (const [nth, step] of steps.entries())
      for (const blow of sweep.blows(one, steps, nth)) {
        trials++
        await sweep.trial(one, steps, nth, blow, state).catch((error: Error) => {
          failures++
          const before = steps.slice(0, nth).map(each => `\n  ${each}`)
          console.error(`${name}: ${blow}: ${step}\n${error.stack}\nafter these steps:${before.join('')}`)
        })
      }
    console.log(`${name}: ${steps.length} steps, ${trials} trials, ${failures} failures so far`)
  }
}
for (const clean of cleaners) await clean().catch(error => console.error(error))
console.log(`${trials} trials, ${failures} failures`)
process.exitCode = failures > 0 ? 1 : 0
