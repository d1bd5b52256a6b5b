import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Kind, storm } from './changesStorm.ts'

const SECONDS = Number(process.env.SOAK_SECONDS ?? 30)
const SEED = Number(process.env.SOAK_SEED ?? 7)
/** Rows of the large transactions. */
const LARGE = Number(process.env.SOAK_ROWS ?? 5000)

for (const kind of ['postgres', 'mariadb'] satisfies Kind[])
  test(`${kind}: what is written while the reader is killed and cut arrives, each change once`, async t => {
    const found = await storm(t, kind, SECONDS, SEED, LARGE)
    t.diagnostic(JSON.stringify(found))
    assert.ok(found.transactions > SECONDS / 4 && found.kills > SECONDS / 20 && found.changes > 0)
  })
