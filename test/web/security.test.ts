/** Who is let in, and what nobody gets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { WebUsers } from '../../src/metadata/webUsers.ts'
import { LoginLimit } from '../../src/web/access.ts'
import { commandLine } from '../commandLine.ts'
import type { Hooks } from '../servers.ts'
import { seenJob } from '../service/seen.ts'
import { openSite, type Site } from './site.ts'

const OPERATOR = 'operator-token-0123456789'
const VIEWER = 'viewer-token-0123456789'
const EVIL = `<img src=x onerror=alert(1)>'"&`

/** A night with rejected rows, served beyond this machine, to whoever has a token. */
async function guarded(
  hooks: Hooks,
  name: string,
  env: Record<string, string> = {},
): Promise<Site & { run: string }> {
  const job = await seenJob(hooks, name)
  const { run } = await job.run()
  const tokens = { NIGHTFREIGHT_OPERATOR_TOKEN: OPERATOR, NIGHTFREIGHT_VIEWER_TOKEN: VIEWER }
  const site = await openSite(hooks, {
    jobs: job.folder,
    home: job.home,
    args: ['--host', '0.0.0.0'],
    env: { ...tokens, ...env },
  })
  return { ...site, run }
}

const as = (token: string, more: Record<string, string> = {}) => ({
  headers: { authorization: `Bearer ${token}`, ...more },
})
const post = (init: { headers: Record<string, string> }, body = '') => ({
  ...init,
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded', ...init.headers },
  body,
})

test('no token, a wrong one, a viewer, an operator; cross-site requests; everything is in the audit', async t => {
  const site = await guarded(t, 'guarded')
  const { run, ask } = site
  const paths = [
    '/',
    '/runs',
    `/runs/${run}`,
    '/metrics',
    '/errors.csv',
    '/events?page=/',
    `/runs/${run}/report.json`,
  ]
  for (const path of paths) {
    assert.equal((await ask(path)).status, 401, path)
    assert.equal((await ask(path, as('operator-token-0123456780'))).status, 401, path)
  }
  const html = await ask('/errors?state=all', { headers: { accept: 'text/html' } })
  assert.deepEqual([html.status, html.headers.get('location')], [302, '/login?to=%2Ferrors%3Fstate%3Dall'])
  for (const path of ['/healthz', '/style.css', '/login']) assert.equal((await ask(path)).status, 200, path)
  for (const path of ['/', '/runs', `/runs/${run}`, '/metrics', '/errors.csv'])
    assert.equal((await ask(path, as(VIEWER))).status, 200, path)
  assert.equal((await ask('/audit', as(VIEWER))).status, 404)
  assert.doesNotMatch((await ask(`/runs/${run}`, as(VIEWER))).text, /<button>|Run the job again/)
  const [error] = await site.metadata.errors.list({ limit: 1 })
  const actions = [
    `/runs/${run}/resume`,
    `/runs/${run}/cancel`,
    '/jobs/guarded/run',
    '/jobs/guarded/pause',
    '/errors/discard',
    `/errors/${error!.id}/correct`,
  ]
  for (const action of actions) {
    assert.equal((await ask(action, post(as(VIEWER), `id=${error!.id}`))).status, 403, action)
    assert.equal((await ask(action, post({ headers: {} }, `id=${error!.id}`))).status, 401, action)
    const foreign = as(OPERATOR, { origin: 'https://evil.example' })
    assert.equal((await ask(action, post(foreign, `id=${error!.id}`))).status, 403, action)
  }
  assert.equal((await site.metadata.errors.find(error!.id))!.state, 'open')
  assert.equal((await site.metadata.runs(9)).length, 1)
  const done = await ask('/errors/discard', post(as(OPERATOR), `id=${error!.id}`))
  assert.equal(done.status, 303)
  assert.equal((await site.metadata.errors.find(error!.id))!.state, 'discarded')
  const refused = await ask(`/runs/${run}/cancel`, post(as(OPERATOR)))
  assert.equal(refused.status, 303)
  assert.match((await ask(refused.headers.get('location')!, as(OPERATOR))).text, /run \S+ is not running/)
  for (const none of ['/runs/nothing/resume', '/runs/x/constructor', '/jobs/x/__proto__', '/errors/toString'])
    assert.ok([303, 404].includes((await ask(none, post(as(OPERATOR)))).status), none)
  const audit = (await ask('/audit', as(OPERATOR))).text
  assert.match(audit, /token \(viewer\)<\/td><td>viewer<\/td>.*resume run.*refused: a viewer looks only/s)
  assert.match(audit, /token \(operator\).*discard rows.*done/s)
})

test('a name and a password: log in, log out, too many tries, another role, removed', async t => {
  const site = await guarded(t, 'named', { NIGHTFREIGHT_OPERATOR_TOKEN: '', NIGHTFREIGHT_VIEWER_TOKEN: '' })
  const { ask } = site
  // Beyond this machine and with nobody named, nobody is let in.
  const unset = await ask('/')
  assert.equal(unset.status, 403)
  assert.match(unset.text, /nightfreight users add/)
  const users = new WebUsers(site.metadata.database, { now: () => new Date() })
  await users.set('ada', 'operator', 'correct horse battery')
  await users.set('eve', 'viewer', 'another long password')
  const own = { headers: { origin: site.url, 'content-type': 'application/x-www-form-urlencoded' } }
  const logIn = (name: string, password: string, to = '/runs') =>
    ask('/login', { method: 'POST', ...own, body: String(new URLSearchParams({ name, password, to })) })
  const ok = await logIn('ada', 'correct horse battery')
  const cookie = ok.headers.get('set-cookie')!
  assert.deepEqual([ok.status, ok.headers.get('location')], [303, '/runs'])
  assert.match(cookie, /HttpOnly/)
  assert.match(cookie, /SameSite=Lax/)
  assert.equal(
    (await logIn('ada', 'correct horse battery', 'https://evil.example')).headers.get('location'),
    '/',
  )
  assert.equal((await logIn('ada', 'correct horse battery', '//evil.example')).headers.get('location'), '/')
  const session = { headers: { cookie: cookie.split(';')[0]! } }
  assert.equal((await ask('/audit', session)).status, 200)
  // A cookie alone is no proof of where a request comes from.
  assert.equal((await ask('/jobs/named/pause', post(session))).status, 403)
  const sameSite = { headers: { ...session.headers, origin: site.url } }
  assert.equal((await ask('/jobs/named/pause', post(sameSite))).status, 303)
  await users.set('ada', 'viewer', 'correct horse battery')
  assert.equal((await ask('/runs', session)).status, 401)
  const eve = {
    headers: {
      cookie: (await logIn('eve', 'another long password')).headers.get('set-cookie')!.split(';')[0]!,
    },
  }
  assert.equal((await ask('/runs', eve)).status, 200)
  await ask('/logout', post({ headers: { ...eve.headers, origin: site.url } }))
  assert.equal((await ask('/runs', eve)).status, 401)
  const guesses = await Promise.all(Array.from({ length: 20 }, () => logIn('eve', 'guess')))
  assert.equal(guesses.filter(({ status }) => status === 401).length, 5, 'all at once')
  assert.equal((await logIn('eve', 'guess')).status, 429)
  const stored = await site.metadata.database.all<{ password: string }>('SELECT password FROM web_users')
  for (const { password } of stored) assert.match(password, /^[0-9a-f]{32}:[0-9a-f]{64}$/)
})

test('a proxy is believed only where it is', async t => {
  const job = await seenJob(t, 'proxied')
  const open = (...from: string[]) =>
    openSite(t, {
      jobs: job.folder,
      home: job.home,
      args: ['--user-header', 'X-Forwarded-User', '--trusted-proxy', ...from],
    })
  const users = new WebUsers(job.metadata.database, { now: () => new Date() })
  await users.set('ada', 'operator', undefined)
  const near = await open('127.0.0.1')
  const headers = (name: string) => ({ headers: { 'x-forwarded-user': name } })
  assert.match((await near.ask('/', headers('ada'))).text, /ada · operator/)
  assert.match((await near.ask('/', headers('bob'))).text, /bob · viewer/)
  assert.equal((await near.ask('/')).status, 401)
  const far = await open('10.9.9.9')
  assert.equal((await far.ask('/', headers('ada'))).status, 401)
})

test('on this machine only: a page elsewhere whose name leads here gets nothing', async t => {
  const job = await seenJob(t, 'here')
  const site = await openSite(t, { jobs: job.folder, home: job.home })
  assert.match((await site.ask('/')).text, /local · operator/)
  const status = (host: string) =>
    new Promise<number>((resolve, reject) => {
      const asked = request(`${site.url}/`, { headers: { host } }, answer =>
        resolve(answer.resume().statusCode!),
      )
      asked.on('error', reject).end()
    })
  assert.deepEqual([await status('evil.example'), await status('localhost:1')], [403, 200])
  assert.equal(
    (await site.ask('/jobs/here/pause', post({ headers: { origin: 'https://evil.example' } }))).status,
    403,
  )
  assert.equal((await site.ask('/jobs/here/pause', post({ headers: {} }))).status, 403)
})

test('behind a proxy on this machine nobody is let in who has not logged in', async t => {
  const job = await seenJob(t, 'passed')
  const site = await openSite(t, {
    jobs: job.folder,
    home: job.home,
    env: { NIGHTFREIGHT_URL: 'https://nights.example' },
  })
  const status = (headers: Record<string, string>, method = 'GET') =>
    new Promise<number>((resolve, reject) => {
      const asked = request(
        `${site.url}/jobs/passed${method === 'POST' ? '/pause' : ''}`,
        { headers, method },
        answer => resolve(answer.resume().statusCode!),
      )
      asked.on('error', reject).end()
    })
  const here = new URL(site.url).host
  assert.equal(await status({ host: here }), 200)
  const unset = await site.ask('/', { headers: { 'x-forwarded-for': '10.1.2.3' } })
  assert.match(unset.text, /nightfreight users add/)
  const ways: Record<string, string>[] = [
    { host: 'nights.example' },
    { host: here, 'x-forwarded-for': '10.1.2.3' },
    { host: here, 'x-forwarded-email': 'ada@nights.example' },
    { host: here, forwarded: 'for=10.1.2.3' },
    { host: here, via: '1.1 proxy' },
    { host: here, origin: 'https://nights.example' },
  ]
  for (const passed of ways) {
    assert.equal(await status(passed), 403, JSON.stringify(passed))
    const origin = 'https://nights.example'
    assert.equal(await status({ origin, ...passed }, 'POST'), 403, JSON.stringify(passed))
  }
  // Whoever is known is let in by that.
  const users = new WebUsers(job.metadata.database, { now: () => new Date() })
  await users.set('ada', 'operator', 'correct horse battery')
  const session = `nightfreight=${await users.logIn('ada', 'correct horse battery')}`
  assert.equal(await status({ host: 'nights.example', cookie: session }), 200)
})

test('names, errors and values are never markup; paths and filters are never more than text', async t => {
  const site = await guarded(t, 'text')
  const { metadata, run, ask } = site
  const { database } = metadata
  await database.run('UPDATE runs SET error = :error, status = :failed WHERE run = :run', {
    run,
    failed: 'FAILED',
    error: JSON.stringify({ code: EVIL, message: EVIL }),
  })
  await database.run('UPDATE table_history SET table_name = :evil, columns = :columns', {
    evil: EVIL,
    columns: JSON.stringify([{ name: EVIL, type: EVIL }]),
  })
  await database.run('UPDATE error_records SET reason = :evil, record = :record, row_key = :evil', {
    evil: EVIL,
    record: JSON.stringify({ [EVIL]: EVIL }),
  })
  await database.run(
    `INSERT INTO runs (run, job, status, run_at, started_at, spec_hash, owner) VALUES (:evil, :evil, 'FAILED', :now, :now, '', '')`,
    { evil: EVIL, now: new Date().toISOString() },
  )
  await database.run(`UPDATE run_details SET log = :log WHERE run = :run`, {
    run,
    log: JSON.stringify([{ at: new Date().toISOString(), text: EVIL }]),
  })
  const [error] = await metadata.errors.list({ limit: 1 })
  const named = encodeURIComponent(EVIL)
  const filter = encodeURIComponent(`' OR 1=1; DROP TABLE runs; --`)
  const paths = [
    '/',
    '/runs',
    `/runs/${run}`,
    `/runs/${named}`,
    '/jobs',
    `/jobs/${named}`,
    '/tables',
    `/tables/text/${named}`,
    '/errors',
    `/errors/${error!.id}`,
    '/sla',
    `/errors?reason=${named}&job=${named}`,
    `/runs?job=${named}`,
    `/login?to=${named}`,
  ]
  for (const path of paths) {
    const { status, text, headers } = await ask(path, as(OPERATOR))
    assert.equal(status, path.startsWith('/errors?') || path.startsWith('/runs?') ? 200 : status)
    assert.ok(status < 500, path)
    assert.ok(!text.includes('<img'), path)
    assert.match(headers.get('content-security-policy')!, /default-src 'none'.*frame-ancestors 'none'/)
  }
  for (const path of [
    `/errors?reason=${filter}`,
    `/errors?job=${filter}`,
    `/errors?state=${filter}`,
    `/runs?status=${filter}&job=${filter}`,
    `/runs?after=${filter}`,
    `/runs?after=2026+${filter}`,
    `/tables?name=${filter}`,
    `/errors.csv?table=${filter}`,
  ])
    assert.equal((await ask(path, as(OPERATOR))).status, 200, path)
  assert.equal((await ask(`/errors?reason=${filter}`, as(OPERATOR))).text.includes('No rejected rows.'), true)
  assert.equal((await metadata.runs(9)).length, 2)
  for (const path of [
    '/../../etc/passwd',
    '/runs/..%2f..%2f..%2fetc%2fpasswd',
    '/runs/%2e%2e/report.html',
    '/runs/..%2f..%2fmask.key/report.json',
    '/tables/%00/x',
    '/runs/%ff',
    `/runs/${'x'.repeat(10_000)}`,
  ]) {
    const { status, text } = await ask(path, as(OPERATOR))
    assert.ok(status === 404 || status === 431, `${path.slice(0, 60)}: ${status}`)
    assert.doesNotMatch(text, /root:/)
  }
})

test('a header of 10 MB, a form of 2 MB, and 1,000 connections that say nothing', async t => {
  const site = await guarded(t, 'flooded')
  const port = Number(new URL(site.url).port)
  const sent = async (bytes: number) => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const closed = new Promise<unknown>(resolve => socket.on('close', resolve))
    await once(socket, 'connect')
    let answer = ''
    socket.setEncoding('utf8').on('data', text => {
      answer += text
    })
    socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx-huge: ${'a'.repeat(bytes)}`)
    await closed
    return answer
  }
  assert.match(await sent(20_000), /^HTTP\/1\.1 431/)
  // Whoever sends on after that may have the answer lost by the reset of the connection.
  assert.match(await sent(10 << 20), /^(HTTP\/1\.1 431|$)/)
  // The answer comes before all is sent.
  const status = await new Promise<number>((resolve, reject) => {
    const asked = request(
      `${site.url}/errors/discard`,
      { method: 'POST', headers: as(OPERATOR).headers },
      answer => resolve(answer.statusCode!),
    )
    asked.on('error', reject).end(`id=${'a'.repeat(2_000_000)}`)
  })
  assert.equal(status, 413)
  const idle: Socket[] = []
  for (let n = 0; n < 1000; n++) idle.push(connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(idle.map(socket => once(socket, 'connect')))
  t.after(() => {
    for (const socket of idle) socket.destroy()
  })
  const began = performance.now()
  assert.equal((await site.ask('/runs', as(VIEWER))).status, 200)
  assert.ok(performance.now() - began < 3000)
  await Promise.all(
    idle.map(
      socket => socket.closed || once(socket.resume(), 'close', { signal: AbortSignal.timeout(25_000) }),
    ),
  )
})

test('users are added from a pipe, listed and removed; a short password and a short token are refused', async t => {
  const job = await seenJob(t, 'people')
  const short = await commandLine(job.home, ['users', 'add', 'ada', '--role', 'operator'], {
    begun: child => child.stdin!.end('short\n'),
  })
  assert.deepEqual([short.code, /fewer than 10 characters/.test(short.err)], [2, true], short.output)
  const added = await commandLine(job.home, ['users', 'add', 'ada', '--role', 'operator'], {
    begun: child => child.stdin!.end('a long password\n'),
  })
  assert.deepEqual([added.code, added.out], [0, 'ada is an operator\n'], added.output)
  assert.equal((await job.cli('users', 'list')).out, 'operator  ada\n')
  const none = await job.cli('users', 'remove', 'bob')
  assert.deepEqual([none.code, /there is no user bob/.test(none.err)], [2, true])
  assert.equal((await job.cli('users', 'remove', 'ada')).out, 'ada is removed\n')
  const token = await job.cliIn({ NIGHTFREIGHT_VIEWER_TOKEN: 'abc' }, 'serve', job.folder, '--port', '0')
  assert.deepEqual([token.code, /fewer than 16 characters/.test(token.err)], [2, true], token.output)
})

test('failed log-ins count by name and by address, for a quarter of an hour, and those that go on count, too', () => {
  let now = 0
  const limit = new LoginLimit(() => now)
  const all = Array.from({ length: 60 }, (_, n) => limit.allows('ada', `10.0.0.${n}`))
  assert.equal(all.filter(isAllowed => isAllowed).length, 5)
  now += 61_000
  assert.equal(limit.allows('ada', '10.0.1.9'), false)
  assert.equal(limit.allows('bob', '10.0.1.9'), true)
  for (let n = 0; n < 5; n++) assert.equal(limit.allows(`guess ${n}`, '10.0.1.7'), true)
  assert.equal(limit.allows('bob', '10.0.1.7'), false)
  // What has succeeded is no failure, of the name or from there.
  for (let n = 0; n < 9; n++) {
    assert.equal(limit.allows('eve', '10.0.1.1'), true)
    limit.succeeded('eve', '10.0.1.1')
  }
  now += 16 * 60_000
  assert.equal(limit.allows('ada', '10.0.1.7'), true)
  for (let n = 0; n < 59; n++) limit.allows('x', 'y')
  assert.equal(limit.allows('carol', '10.0.1.8'), false)
})
