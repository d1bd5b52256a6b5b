import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { s3For, s3Place, sshdFor } from './places.ts'

const top = mkdtempSync(join(tmpdir(), 'nf-drop-kill-'))
after(() => rmSync(top, { recursive: true, force: true }))
const server = await s3For()
const root = join(import.meta.dirname, '../..')

/** Runs the job; killed at the first event whose task `kill` picks. */
async function run(context: string, begun?: (child: ChildProcess) => void, kill?: (task: string) => boolean) {
  const child = spawn(process.execPath, ['src/main.ts', 'run', join(context, 'job'), '--json'], {
    cwd: root,
    env: { ...process.env, NIGHTFREIGHT_HOME: join(context, 'home') },
  })
  begun?.(child)
  let output = ''
  const watch = (text: string) => {
    output += text
    for (const line of text.split('\n').filter(line => line.startsWith('{'))) {
      const { task = '' } = JSON.parse(line) as { task?: string }
      if (kill?.(task)) child.kill('SIGKILL')
    }
  }
  child.stdout.setEncoding('utf8').on('data', watch)
  child.stderr.setEncoding('utf8').on('data', watch)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, output }
}

async function contents(context: string): Promise<string[]> {
  const duck = await Duck.open({ path: join(context, 'w.duckdb') })
  try {
    const rows = await duck.rows('SELECT id, count(*) AS n FROM things GROUP BY id ORDER BY id')
    return rows.map(row => `${row.id}×${row.n}`)
  } finally {
    duck.close()
  }
}

for (const [name, moment] of [
  ['while it downloads', 'extract.'],
  ['before the load commits', 'load.'],
  ['while files are moved', 'requests'],
] as const)
  test(`a night killed ${name}, and run again, takes every file once`, async () => {
    const context = mkdtempSync(join(top, 'w-'))
    const bucket = `kill-${moment.replace('.', '')}`
    const place = await s3Place(server, bucket)
    mkdirSync(join(context, 'job'))
    writeFileSync(
      join(context, 'job', 'job.yaml'),
      `job: takes_things
connections:
  drop: { url: "s3://${bucket}/in", endpoint: "${server.endpoint}", access_key: test, secret_key: test }
  warehouse: duckdb:${join(context, 'w.duckdb')}
extract:
  raw: { from: drop, files: "*.csv", schema: { id: BIGINT, part: VARCHAR }, key: [id, part], after: move, to: done }
load:
  things: { to: warehouse, from: raw, key: [id, part], mode: merge }
`,
    )
    for (let file = 0; file < 6; file++) await place.put(`f${file}.csv`, `id,part\n${file},a\n`)
    let copies = 0
    let child: ChildProcess | undefined
    server.mischief = (method, url) => {
      if (moment === 'requests' && method === 'PUT' && url.includes('/done/') && ++copies === 3)
        child?.kill('SIGKILL')
      return undefined
    }
    const killed = await run(
      context,
      started => (child = started),
      task => task.startsWith(moment),
    )
    server.mischief = undefined
    assert.equal(killed.signal, 'SIGKILL', killed.output)
    const again = await run(context)
    assert.equal(again.code, 0, again.output)
    const once6 = Array.from({ length: 6 }, (_, file) => `${file}×1`)
    assert.deepEqual(await contents(context), once6)
    const left = (await place.names()).filter(file => !file.startsWith('done/'))
    assert.deepEqual(left, [])
    // The next night sees what is new, and all that was.
    await place.put('g.csv', 'id,part\n6,a\n')
    const next = await run(context)
    assert.equal(next.code, 0, next.output)
    assert.deepEqual(await contents(context), [...once6, '6×1'])
  })

test('a night killed while SFTP files are moved, and run again, takes every file once', async () => {
  const FILES = 80
  const context = mkdtempSync(join(top, 'sftp-'))
  const sshd = await sshdFor(context)
  const drop = join(context, 'drop')
  mkdirSync(join(context, 'job'))
  mkdirSync(drop)
  writeFileSync(
    join(context, 'job', 'job.yaml'),
    `job: takes_things
connections:
  drop: { url: "sftp://${sshd.user}@127.0.0.1:${sshd.port}${drop}", private_key: "${sshd.key}", host_key: "${sshd.hostKey}" }
  warehouse: duckdb:${join(context, 'w.duckdb')}
extract:
  raw: { from: drop, files: "*.csv", schema: { id: BIGINT, part: VARCHAR }, key: [id, part], after: move, to: done }
load:
  things: { to: warehouse, from: raw, key: [id, part], mode: merge }
`,
  )
  const write = (id: number) => writeFileSync(join(drop, `f${id}.csv`), `id,part\n${id},a\n`)
  for (let id = 0; id < FILES; id++) write(id)
  const left = () => readdirSync(drop).filter(name => name.endsWith('.csv')).length
  let watching: NodeJS.Timeout | undefined
  const killed = await run(context, child => {
    watching = setInterval(() => {
      if (left() < FILES - 10) child.kill('SIGKILL')
    }, 1)
  })
  clearInterval(watching)
  assert.equal(killed.signal, 'SIGKILL', killed.output)
  assert.ok(left() > 0, 'some were not reached')
  const again = await run(context)
  assert.equal(again.code, 0, again.output)
  const all = Array.from({ length: FILES }, (_, id) => `${id}×1`)
  assert.deepEqual(await contents(context), all)
  assert.equal(left(), 0)
  write(FILES)
  const next = await run(context)
  assert.equal(next.code, 0, next.output)
  assert.deepEqual(await contents(context), [...all, `${FILES}×1`])
  assert.equal(readdirSync(join(drop, 'done')).length, FILES + 1)
})
