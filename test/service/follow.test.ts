/** Jobs whose logs a service follows: what changes is loaded within seconds, nothing runs where nothing has changed. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { dropAfter, reversed } from '../jobs/following.ts'
import { type SmallJob, smallJob } from '../jobs/small.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

const ROOT = join(import.meta.dirname, '../..')
const warehouse = await freshPostgres()

/** A service that follows one job. */
async function serve(hooks: Hooks, { home, folder }: SmallJob) {
  const child = spawn(process.execPath, ['src/main.ts', 'serve', folder, '--port', '0'], {
    cwd: ROOT,
    env: {
      ...process.env,
      NIGHTFREIGHT_HOME: home,
      METADATA_URL: '',
      NODE_COMPILE_CACHE: join(home, 'cache'),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  hooks.after(() => ended(child, 'SIGKILL'))
  const [line] = (await once(child.stderr!.setEncoding('utf8'), 'data')) as [string]
  const url = /http:\/\/[\d.:]+/.exec(line)?.[0]
  assert.ok(url, line)
  return { child, text: async (path: string) => (await fetch(url + path)).text() }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 400; n++) {
    if (await holds()) return
    await delay(100)
  }
  assert.fail(`not within 40 s: ${what}`)
}

for (const [kind, fresh] of [
  ['postgres', freshPostgres],
  ['mariadb', freshMariadb],
] satisfies [string, (hooks: Hooks) => Promise<FreshDatabase>][])
  test(`${kind}: a log is followed in small steps, through kills; where nothing changes, nothing runs`, async t => {
    const own = reversed(t)
    const { url, query } = await fresh(own)
    const table = `followed_${kind}`
    const name = `follow_${kind}`
    await query('CREATE TABLE items (id int PRIMARY KEY, n int)')
    await query('CREATE TABLE others (id int PRIMARY KEY, n int)')
    await query('INSERT INTO items VALUES (1, 1), (2, 2)')
    const job = await smallJob(own, name, {
      'job.yaml': `schedule: { follow: { every: 1s, rows: 1000 } }
connections: { s: "${url}", w: "${warehouse.url}" }
extract: { items: { from: s, table: items, mode: changes } }
load: { ${table}: { to: w, from: items, key: id, deletes: hard, guard: { max_delete_share: 1, allow_empty: true } } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    dropAfter(own, job)
    const runs = async () => (await job.metadata.runs(99)).length
    const isEqual = async () => {
      const list = (name: string) => `SELECT id, n FROM ${name} ORDER BY id`
      const there = await warehouse.query(list(table)).catch(() => [])
      return JSON.stringify(there) === JSON.stringify(await query(list('items')))
    }
    const first = await serve(own, job)
    await until('the table is read whole', isEqual)
    await query('INSERT INTO items VALUES (3, 3)')
    await query('UPDATE items SET n = 20 WHERE id = 2')
    await query('DELETE FROM items WHERE id = 1')
    await until('changes arrive', isEqual)
    // What is no change of ours begins no run.
    await until('the run has ended', async () => (await job.metadata.activeRuns(name)).length === 0)
    const before = await runs()
    for (let id = 0; id < 5; id++) {
      await query(`INSERT INTO others VALUES (${id}, 1)`)
      await delay(700)
    }
    assert.equal(await runs(), before)
    assert.match(await first.text('/metrics'), /^nightfreight_log_lag_seconds\{job_name="follow_\w+"\} 0$/m)
    assert.match(await first.text('/jobs'), /as its logs change/)
    // By hand while it is followed: whoever runs it goes first.
    await query('INSERT INTO items VALUES (4, 4)')
    const byHand = await job.cli('run', job.folder)
    assert.ok([0, 75].includes(byHand.code!), byHand.output)
    await until('changes arrive beside a run by hand', isEqual)
    // The service, and the run that it has begun, are killed.
    await query('INSERT INTO items VALUES (5, 5)')
    await until('a run has begun', async () => (await job.metadata.activeRuns(name)).length > 0)
    await ended(first.child, 'SIGKILL')
    for (const { owner } of await job.metadata.activeRuns(name))
      process.kill(Number(owner.split(':')[1]), 'SIGKILL')
    await query('INSERT INTO items VALUES (6, 6)')
    const second = await serve(own, job)
    await until('another goes on', isEqual)
    await until('what the server keeps is known', async () =>
      /^nightfreight_log_kept_bytes\{job_name="follow_\w+",connection="s"\} \d/m.test(
        await second.text('/metrics'),
      ),
    )
    await query('TRUNCATE TABLE items')
    await until('the table is empty', isEqual)
    await ended(second.child, 'SIGTERM')
    assert.equal(second.child.exitCode, 0)
  })
