import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { s3 } from '../../src/connectors/s3/index.ts'
import { S3Store } from '../../src/connectors/s3/store.ts'
import { DropSource } from '../../src/drops/source.ts'
import { S3Client } from '../../src/stores/s3/client.ts'
import { s3Access } from '../../src/stores/s3/settings.ts'
import { night } from './nights.ts'
import { s3For, s3Place, s3Settings, sftpPlace, sshdFor, testFolder } from './places.ts'

const folder = testFolder()
const sshd = await sshdFor(folder)
const server = await s3For()
const asked = { files: '*.csv', schema: { id: 'BIGINT' } }

test('SFTP: what the user may not list or read is refused by its name; a folder whose files cannot be seen is not an empty one', async () => {
  const drop = join(folder, 'closed')
  const own = sftpPlace(drop, sshd)
  for (const name of ['a.csv', 'secret.csv', 'shut/b.csv', 'unlisted/c.csv', 'unseen/d.csv'])
    await own.put(name, 'id\n1\n')
  // Root may do everything, so nobody logs in instead.
  const user = sshd.user === 'root' ? 'nobody' : sshd.user
  for (const path of [folder, join(folder, 'ssh')]) chmodSync(path, 0o755)
  chmodSync(join(folder, 'ssh', 'authorized'), 0o644)
  const modes = { 'secret.csv': 0o000, shut: 0o000, unlisted: 0o311, unseen: 0o644 }
  for (const [name, mode] of Object.entries(modes)) chmodSync(join(drop, name), mode)
  const place = sftpPlace(drop, sshd, { url: `sftp://${user}@127.0.0.1:${sshd.port}${drop}` })
  try {
    assert.deepEqual((await night(place, { ...asked, files: 'a.csv' })).rows, [['1']])
    for (const [files, named] of [
      ['*.csv', 'secret.csv'],
      ['shut/*.csv', 'shut'],
      ['unlisted/*.csv', 'unlisted'],
      ['unseen/*.csv', 'unseen'],
      ['**/d.csv', '(shut|unlisted|unseen)'],
    ] as const)
      await assert.rejects(
        night(place, { ...asked, files }),
        (error: Error & { code: string; hint: string }) => {
          assert.equal(error.code, 'PERMISSION_DENIED')
          assert.match(error.message, new RegExp(`^drop: ${named}: `))
          assert.match(error.hint, /x of a folder/)
          return true
        },
        files,
      )
  } finally {
    for (const name of Object.keys(modes)) chmodSync(join(drop, name), 0o755)
  }
})

test('SFTP: a host key that nobody named, another one, and known_hosts', async () => {
  const drop = join(folder, 'keys')
  await sftpPlace(drop, sshd).put('a.csv', 'id\n1\n')
  const read = (more: object) => night(sftpPlace(drop, sshd, { host_key: undefined, ...more }), asked)
  await assert.rejects(read({}), (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, 'TLS_FAILED')
    assert.ok(error.hint.endsWith(`host_key: "${sshd.hostKey}"`), error.hint)
    return true
  })
  const known = join(folder, 'known_hosts')
  writeFileSync(known, `# ours\n${sshd.knownHost}`)
  assert.deepEqual((await read({ known_hosts: known })).rows, [['1']])
  assert.deepEqual((await read({ host_key: [`SHA256:${'A'.repeat(43)}`, sshd.hostKey] })).rows, [['1']])
  await sshd.changeHostKey()
  await assert.rejects(read({ known_hosts: known }), { code: 'TLS_FAILED', message: /not the known one/ })
  await assert.rejects(read({ host_key: sshd.hostKey }), { code: 'TLS_FAILED', message: /not the known one/ })
  writeFileSync(known, '')
  await assert.rejects(read({ known_hosts: known }), { code: 'TLS_FAILED', message: /has no key of it/ })
})

test('SFTP: an agent gives the key; a wrong one is named, and so is a server that is gone', async () => {
  const drop = join(folder, 'agent')
  const place = (more: object) =>
    sftpPlace(drop, sshd, { host_key: undefined, known_hosts: join(folder, 'now'), ...more })
  const { execFileSync } = await import('node:child_process')
  writeFileSync(
    join(folder, 'now'),
    execFileSync('ssh-keyscan', ['-p', String(sshd.port), '127.0.0.1'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  )
  await place({}).put('a.csv', 'id\n1\n')
  const socket = join(folder, 'agent.sock')
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    await once(agent.stdout, 'data')
    execFileSync('ssh-add', ['-q', sshd.key], {
      env: { ...process.env, SSH_AUTH_SOCK: socket },
      stdio: 'ignore',
    })
    assert.deepEqual((await night(place({ private_key: undefined, agent: socket }), asked)).rows, [['1']])
  } finally {
    agent.kill()
  }
  await assert.rejects(night(place({ private_key: undefined, password: 'no' }), asked), {
    code: 'AUTH_FAILED',
  })
  sshd.stop()
  await assert.rejects(night(place({}), asked), { code: 'CONNECTION_FAILED' })
})

test('S3: SlowDown, and a body that breaks, are taken up again where they stopped', async () => {
  const place = await s3Place(server, 'slow')
  const lines = Array.from({ length: 4000 }, (_, index) => String(index).padStart(500, '0'))
  await place.put('a.csv', `id\n${lines.join('\n')}\n`)
  const { length: before } = server.requests
  const told = new Map<string, number>()
  server.mischief = (method, url) => {
    if (method !== 'GET' || !url.includes('a.csv')) return undefined
    const times = (told.get(url) ?? 0) + 1
    told.set(url, times)
    return times <= 2 ? { code: 'SlowDown', status: 503 } : times <= 4 ? 'cut' : undefined
  }
  try {
    const { rows } = await night(place, { ...asked, schema: { id: 'VARCHAR' } })
    assert.deepEqual(
      rows.map(([id]) => Number(id)),
      lines.map(Number),
    )
  } finally {
    server.mischief = undefined
  }
  assert.ok(server.requests.length > before + 5)
})

test('S3: an object that is not given is a bad file of its own, and is tried again by the next run', async () => {
  const place = await s3Place(server, 'withheld')
  const options = { files: '*.csv', schema: { id: 'BIGINT' }, on_bad_file: 'quarantine' }
  for (const id of [1, 2, 3, 4]) await place.put(`${id}.csv`, `id\n${id}\n`)
  const refusals = [
    ['2.csv', { code: 'InvalidObjectState', status: 403 }, /archived/],
    ['3.csv', { code: 'KMS.DisabledException', status: 400 }, /KMS/],
    ['4.csv', { code: 'NoSuchKey', status: 404 }, /is gone since it was listed/],
  ] as const
  server.mischief = (method, url) =>
    method === 'GET' ? refusals.find(([name]) => url.includes(name))?.[1] : undefined
  const first = await night(place, options)
  assert.deepEqual(first.rows, [['1']])
  assert.deepEqual(first.rejected.map(({ column }) => column).sort(), ['2.csv', '3.csv', '4.csv'])
  for (const [, , said] of refusals) assert.match(first.notes.join('\n'), said)
  await assert.rejects(night(place, { ...options, on_bad_file: 'fail' }), (error: Error & { code: string }) =>
    ['PERMISSION_DENIED', 'TABLE_MISSING'].includes(error.code),
  )
  server.mischief = undefined
  const second = await night(place, options, first)
  assert.deepEqual(second.rows.flat().sort(), ['2', '3', '4'])
})

test('S3: what an attempt that failed said of a file counts no more once another has read it', async () => {
  const place = await s3Place(server, 'read-again')
  const options = { ...asked, on_bad_file: 'quarantine' }
  const names = Array.from({ length: 16 }, (_, file) => `${String(file).padStart(2, '0')}.csv`)
  for (const [id, name] of names.entries()) await place.put(name, `id\n${10 + id}\n`)
  // Of two that are read together.
  const refusals = new Map([
    ['04.csv', { code: 'InvalidObjectState', status: 403 }],
    ['05.csv', { code: 'ExpiredToken', status: 400 }],
  ])
  server.mischief = (method, url) => {
    const name = method === 'GET' ? url.match(/\d+\.csv/)?.[0] : undefined
    const refusal = refusals.get(name ?? '')
    refusals.delete(name ?? '')
    return refusal
  }
  const first = await night(place, options, undefined, true)
  server.mischief = undefined
  assert.deepEqual(
    first.rows.flat(),
    names.map((_, id) => String(10 + id)),
  )
  assert.deepEqual(first.notes, [])
  assert.deepEqual((await night(place, options, first)).rows, [])
})

test('S3: only the prefix is asked for; the region is the one that the server names; a glob without files is said', async () => {
  const place = await s3Place(server, 'far-away')
  await place.put('a.csv', 'id\n1\n')
  server.requests.length = 0
  for (const refusal of [
    { code: 'PermanentRedirect', status: 301, headers: { 'x-amz-bucket-region': 'eu-central-1' } },
    { code: 'AuthorizationHeaderMalformed', status: 400, headers: { 'x-amz-bucket-region': 'eu-central-1' } },
  ]) {
    server.mischief = (_method, _url, { authorization }) =>
      authorization?.includes('/eu-central-1/') ? undefined : refusal
    assert.deepEqual((await night(place, asked)).rows, [['1']])
    // Of several that ask at once each goes there, also where nobody has named any region.
    const access = s3Access(s3Settings(server, 'far-away'), 'drop')
    const client = new S3Client({ ...access, region: undefined })
    await Promise.all([client.probe(), client.probe(), client.probe()])
    client.close()
  }
  server.mischief = (_method, url) =>
    url.includes('prefix=in%2F') || url.includes('/in/') ? undefined : { code: 'AccessDenied', status: 403 }
  assert.deepEqual((await night(place, asked)).rows, [['1']])
  server.mischief = undefined
  assert.ok(
    server.requests.every(seen => !seen.startsWith('HEAD')),
    server.requests.join('\n'),
  )
  const { notes } = await night(place, { ...asked, files: ['*.tsv', 'deep/*.csv'] })
  assert.deepEqual(notes, ['no file matches "*.tsv", "deep/*.csv"; 1 other is there'])
})

test('S3: what is listed by the millisecond, and shown by the second, is moved; what changed since is told', async () => {
  class FineStore extends S3Store {
    override async *list(folder: string, deep: boolean) {
      for await (const entry of super.list(folder, deep)) yield { ...entry, mtime: entry.mtime + 123 }
      await listed?.()
    }
  }
  let listed: (() => Promise<void>) | undefined
  const place = await s3Place(server, 'fine')
  const access = s3Access(s3Settings(server, 'fine'), 'drop')
  const module = new URL('../../src/connectors/s3/lane.ts', import.meta.url).href
  const fine = { source: () => new DropSource({ module, access, openStore: own => new FineStore(own) }) }
  for (const name of ['a.csv', 'b.csv', 'c.csv']) await place.put(name, 'id\n1\n')
  const first = await night(fine, { ...asked, after: 'move', to: 'done' })
  await place.put('b.csv', 'id\n22\n')
  listed = () => place.put('c.csv', 'id\n333\n')
  assert.deepEqual(await first.release(), [
    'b.csv has changed since it was taken: it stays, and is new to the next run',
    'c.csv has changed since it was taken: it stays, and is new to the next run',
  ])
  assert.deepEqual(await place.names(), ['b.csv', 'c.csv', 'done/a.csv'])
})

test('S3: an object that is overwritten while it is copied away stays, and is read by the next run', async () => {
  for (const when of ['before', 'after'] as const)
    for (const after of ['move', 'archive'] as const) {
      const place = await s3Place(server, `overwritten-${when}-${after}`)
      const options = { ...asked, after, to: 'done' }
      await place.put('a.csv', 'id\n1\n')
      const first = await night(place, options)
      let copied = false
      server.mischief = async (method, _url, headers) => {
        const isCopy = headers['x-amz-copy-source'] !== undefined
        if (when === 'before' ? isCopy : copied && /^(HEAD|DELETE)/.test(method)) {
          server.mischief = undefined
          await place.put('a.csv', 'id\n22\n')
          // moto copies, whatever the condition.
          if (isCopy) return { code: 'PreconditionFailed', status: 412 }
        }
        copied ||= isCopy
        return undefined
      }
      try {
        assert.deepEqual(await first.release(), [
          'a.csv has changed since it was taken: it stays, and is new to the next run',
        ])
      } finally {
        server.mischief = undefined
      }
      assert.equal(await place.get('a.csv'), 'id\n22\n')
      const second = await night(place, options, first)
      assert.deepEqual(second.rows, [['22']])
      assert.deepEqual(await second.release(), [])
      const left = await place.names()
      assert.equal(left.length, when === 'before' ? 1 : 2, left.join())
      assert.ok(!left.includes('a.csv'))
    }
})

test('S3: conditional puts, ranges, parts, and an upload that fails leaves nothing', async () => {
  await server.bucket('client')
  const client = new S3Client(s3Access(s3Settings(server, 'client'), 'drop'))
  try {
    const etag = await client.put('a', Buffer.from('one'), { absent: true })
    assert.ok(etag)
    assert.equal(await client.put('a', Buffer.from('two'), { absent: true }), undefined)
    assert.equal(await client.put('a', Buffer.from('two'), { etag: '"0"' }), undefined)
    const second = await client.put('a', Buffer.from('two'), { etag })
    assert.ok(second && second !== etag)
    assert.equal((await client.get('a'))!.bytes.toString(), 'two')
    assert.equal(await client.get('none'), undefined)
    assert.equal(await client.head('none'), undefined)
    const part: Buffer[] = []
    for await (const piece of await client.read('a', { from: 1, to: 3 }, second)) part.push(piece as Buffer)
    assert.equal(Buffer.concat(part).toString(), 'wo')
    await assert.rejects(client.read('a', { from: 0, to: 1 }, etag), { code: 'RUN_CONFLICT' })

    const chunk = Buffer.alloc(5_000_000, 'x')
    async function* chunks(broken: boolean) {
      for (let index = 0; index < 8; index++) yield chunk
      if (broken) throw new Error('the source broke')
    }
    assert.equal(await client.upload('big', chunks(false)), 40_000_000)
    assert.equal((await client.head('big'))!.size, 40_000_000)
    await assert.rejects(client.upload('broken', chunks(true)), /the source broke/)
    assert.equal(await client.head('broken'), undefined)
    assert.ok(server.requests.some(seen => seen.startsWith('DELETE /client/in/broken?')))
  } finally {
    client.close()
  }
})

test('S3: listings of many pages, and wrong keys or buckets are named', async () => {
  const place = await s3Place(server, 'pages')
  for (let at = 0; at < 1100; at += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => place.put(`x${at + index}.csv`, `id\n${at + index}\n`)),
    )
  const { rows } = await night(place, asked)
  assert.equal(new Set(rows.map(([id]) => id)).size, 1100)
  const missing = s3.source!(s3Settings(server, 'no-such'), { name: 'drop', baseDir: '/' })
  await assert.rejects(missing.probe(new AbortController().signal), (error: Error & { code: string }) =>
    ['DATABASE_MISSING', 'TABLE_MISSING'].includes(error.code),
  )
  await missing.close()
})
