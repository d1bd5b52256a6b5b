import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Alerts } from '../../src/alerts/alerts.ts'
import { alertOf } from '../../src/alerts/runAlerts.ts'
import { ordinal } from '../../src/alerts/text.ts'
import { createLog } from '../../src/cli/log.ts'
import { latestAlerts, openAlerts, resolveAlerts } from '../../src/metadata/alerts.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import type { Alert } from '../../src/spec/alert.ts'
import type { Channel } from '../../src/spec/alerts.ts'
import { freshPostgres } from '../servers.ts'
import { mailServer, receiver } from './receivers.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-alerts-'))
let now = Date.parse('2026-02-01T02:00:00Z')
const clock = { now: () => new Date(now) }
const stores: Metadata[] = []
// Before the server's own hook, which looks for connections that are left.
after(async () => {
  for (const store of stores) await store.close()
  rmSync(folder, { recursive: true })
})
const postgres = await freshPostgres()
stores.push(await openMetadata(folder, clock, undefined), await openMetadata(folder, clock, postgres.url))
const metadata = stores[0]!

const SECRETS = ['T0PS3CRET', 'p@ss w0rd', 'p%40ss%20w0rd', 'hunter2']
const lines: string[] = []
const log = createLog({ secrets: SECRETS, stream: { write: (line: string) => lines.push(line) } })
const NOTHING = { failure: [], recovery: [], sla: [], retry: [], errors: [], success: [] }

function alerts(channels: Record<string, Channel>, patience = 400, store = metadata) {
  const all = Object.keys(channels)
  const on = { ...NOTHING, failure: all, success: all }
  return new Alerts(
    { channels, on, repeatAfter: 3600_000 },
    { site: undefined, database: store.database, clock, log, secrets: SECRETS, patience },
  )
}

let jobs = 0
const failure = (given: Partial<Alert> = {}) =>
  alertOf({ job: `j${++jobs}`, run: 'r1' }, clock.now(), {
    kind: 'failure',
    severity: 'CRITICAL',
    cause: 'SQL_FAILED',
    title: 'members: failed, SQL_FAILED',
    what: 'it says hunter2 & <more>',
    rows: ['members, check email: 3 rows'],
    targets: ['warehouse: untouched'],
    command: 'nightfreight run queries/members',
    ...given,
  })

const timed = async <T>(work: Promise<T>) => {
  const start = performance.now()
  return { result: await work, millis: performance.now() - start }
}

test('e-mail by TLS and by STARTTLS, with a password; text, headers and every address', async t => {
  for (const secure of [true, false]) {
    const { mails, url } = await mailServer(t, { secure })
    const ops: Channel = {
      kind: 'email',
      to: ['a@example.org', 'b@example.org'],
      from: 'etl@example.org',
      smtp: url(),
    }
    const found = await alerts({ ops }, 3000).raise(failure())
    assert.deepEqual(found, [{ channel: 'ops', state: 'sent' }])
    assert.equal(mails.length, 1)
    assert.deepEqual([mails[0]!.to, mails[0]!.user], [ops.to, 'night'])
    const { text } = mails[0]!
    assert.match(text, /^Subject: \[nightfreight\] CRITICAL members: failed, SQL_FAILED\r$/m)
    assert.match(text, /^Auto-Submitted: auto-generated\r$/im)
    for (const wanted of [
      'check email: 3 rows',
      'warehouse: untouched',
      'nightfreight run queries/members',
      'it says ***',
    ])
      assert.ok(text.includes(wanted), text)
    assert.ok(!text.includes('hunter2'))
  }
})

test('e-mail that cannot be sent: wrong password, foreign certificate, no mailbox, nobody there, no greeting', async t => {
  const { url, mails } = await mailServer(t)
  const deaf = await mailServer(t, { deaf: true })
  const to = (smtp: string, address = 'a@example.org'): Channel => ({
    kind: 'email',
    to: [address],
    from: 'x@example.org',
    smtp,
  })
  const channels = {
    password: to(url('night:wrong@')),
    certificate: to(url(undefined, '')),
    mailbox: to(url(), 'nobody@example.org'),
    nobody: to('smtp://127.0.0.1:1'),
    deaf: to(deaf.url()),
  }
  const { result, millis } = await timed(alerts(channels, 700).raise(failure()))
  const reasons = Object.fromEntries(result.map(({ channel, error }) => [channel, error]))
  assert.match(reasons.password!, /535|Invalid login/)
  assert.match(reasons.certificate!, /certificate/)
  assert.match(reasons.mailbox!, /no such mailbox|rejected/)
  assert.match(reasons.nobody!, /ECONNREFUSED/)
  assert.match(reasons.deaf!, /Greeting never received/)
  assert.equal(mails.length, 0)
  assert.ok(millis < 3500, `${millis} ms`)
})

test('webhook: JSON and Slack; 500, a cut and a slow answer are tried again, 404 is not', async t => {
  const status = (code: number) => (response: { writeHead(code: number): { end(text: string): void } }) =>
    response.writeHead(code).end('no')
  const ok = (response: { end(text: string): void }) => response.end('ok')
  const plain = await receiver(t)
  const slack = await receiver(t)
  const shaky = await receiver(t, status(500), response => response.destroy(), ok)
  const slow = await receiver(t, () => {}, ok)
  const broken = await receiver(t, status(503))
  const missing = await receiver(t, status(404))
  const moved = await receiver(t, response => response.writeHead(302, { location: plain.url }).end())
  const hook = ({ url }: { url: string }, format: 'json' | 'slack' = 'json'): Channel => ({
    kind: 'webhook',
    url,
    format,
  })
  const channels = {
    plain: hook(plain),
    slack: hook(slack, 'slack'),
    shaky: hook(shaky),
    slow: hook(slow),
    broken: hook(broken),
    missing: hook(missing),
    moved: hook(moved),
  }
  const given = failure({ what: 'https://x/T0PS3CRET & <more>' })
  // All seven at once: on a busy machine each first answer takes a while.
  const found = await alerts(channels, 2000).raise(given)
  assert.deepEqual(
    found.map(({ channel, state }) => [channel, state]),
    [
      ['plain', 'sent'],
      ['slack', 'sent'],
      ['shaky', 'sent'],
      ['slow', 'sent'],
      ['broken', 'failed'],
      ['missing', 'failed'],
      ['moved', 'failed'],
    ],
  )
  assert.deepEqual(
    [shaky, slow, broken, missing, plain].map(({ bodies }) => bodies.length),
    [3, 2, 3, 1, 1],
  )
  const json = JSON.parse(plain.bodies[0]!) as Alert & { text: string }
  assert.deepEqual([json.kind, json.run, json.rows, json.times], ['failure', 'r1', given.rows, 1])
  assert.match(json.text, /Target\n {2}warehouse: untouched\n\nType\n {2}nightfreight run queries\/members/)
  const { text } = JSON.parse(slack.bodies[0]!) as { text: string }
  assert.match(text, /^\*\[nightfreight\] CRITICAL members: failed/)
  assert.ok(text.includes('&amp; &lt;more&gt;'), text)
  assert.match(found[4]!.error!, /answered 503 no, 3 times/)
  assert.equal(found[5]!.error, 'answered 404 no')
})

test('command: the alert as JSON on its input; a failing, missing, deaf and endless one', async () => {
  const out = join(folder, 'taken.json')
  const left = join(folder, 'left')
  const command = (...command: string[]): Channel => ({ kind: 'command', command, folder })
  const channels = {
    takes: command('sh', '-c', 'cat > taken.json'),
    fails: command('sh', '-c', 'echo T0PS3CRET is wrong >&2; exit 3'),
    missing: command('no-such-command'),
    deaf: command('true'),
    endless: command('sh', '-c', `(sleep 3; echo still here > ${left}) & sleep 60`),
  }
  const given = failure()
  const { result, millis } = await timed(alerts(channels).raise(given))
  assert.deepEqual(
    result.map(({ state }) => state),
    ['sent', 'failed', 'failed', 'sent', 'failed'],
  )
  const taken = JSON.parse(readFileSync(out, 'utf8')) as Alert & { subject: string }
  assert.deepEqual(
    [taken.job, taken.subject],
    [given.job, '[nightfreight] CRITICAL members: failed, SQL_FAILED'],
  )
  assert.equal(result[1]!.error, 'ended with 3 *** is wrong')
  assert.match(result[2]!.error!, /ENOENT/)
  assert.ok(millis < 2500, `${millis} ms`)
  await new Promise(resolve => setTimeout(resolve, 3500 - millis))
  assert.ok(!existsSync(left), 'what the command started ended with it')
})

for (const [index, name] of ['SQLite', 'Postgres'].entries())
  test(`${name}: one cause is counted, sent again after an hour, and first again once it is gone`, async t => {
    const store = stores[index]!
    const hook = await receiver(t)
    const { raise } = {
      raise: (alert: Alert) =>
        alerts({ hook: { kind: 'webhook', url: hook.url, format: 'json' } }, 3000, store).raise(alert),
    }
    const given = failure()
    const minute = (count: number) => {
      now += count * 60_000
      return { ...given, at: clock.now().toISOString(), since: clock.now().toISOString() }
    }
    const states = [
      await raise(given),
      await raise(minute(20)),
      await raise(minute(20)),
      await raise(minute(20)),
    ]
    assert.deepEqual(
      states.map(([delivery]) => delivery!.state),
      ['sent', 'held', 'held', 'sent'],
    )
    const other = await raise({ ...minute(0), cause: 'TIMEOUT' })
    assert.equal(other[0]!.state, 'sent')
    const sent = hook.bodies.map(body => JSON.parse(body) as Alert & { text: string })
    assert.deepEqual(
      sent.map(({ times, cause }) => [times, cause]),
      [
        [1, 'SQL_FAILED'],
        [4, 'SQL_FAILED'],
        [1, 'TIMEOUT'],
      ],
    )
    assert.match(sent[1]!.text, /This is the 4th time since 2026-02-01 \d\d:\d\d UTC/)
    const open = await openAlerts(store.database, given.job)
    assert.deepEqual(
      open.map(({ channel, times, state }) => [channel, times, state]),
      [
        ['hook', 4, 'sent'],
        ['log', 4, 'sent'],
        ['hook', 1, 'sent'],
        ['log', 1, 'sent'],
      ],
    )
    await resolveAlerts(store.database, open)
    assert.deepEqual(await openAlerts(store.database, given.job), [])
    assert.equal((await raise(minute(1)))[0]!.state, 'sent')
    assert.equal((JSON.parse(hook.bodies.at(-1)!) as Alert).times, 1)
    // A clock that was ahead when it was sent holds nothing back.
    now += 400 * 24 * 3600_000
    const early = { ...given, cause: 'AUTH_FAILED' }
    const raiseAt = () => raise({ ...early, at: clock.now().toISOString() })
    assert.equal((await raiseAt())[0]!.state, 'sent')
    now -= 400 * 24 * 3600_000
    assert.deepEqual([(await raiseAt())[0]!.state, (await raiseAt())[0]!.state], ['sent', 'held'])
    // Of two processes at the same moment one sends it.
    const twice = { ...given, cause: 'DEADLOCK', at: clock.now().toISOString() }
    const both = await Promise.all([raise(twice), raise(twice)])
    assert.deepEqual(both.map(([delivery]) => delivery!.state).sort(), ['held', 'sent'])
  })

test('a channel that failed is tried again at once, and what it said is kept, without secrets', async t => {
  const hook = await receiver(t, response => response.writeHead(400).end('bad T0PS3CRET'))
  const channel: Channel = { kind: 'webhook', url: hook.url, format: 'json' }
  const given = failure()
  assert.equal((await alerts({ hook: channel }).raise(given))[0]!.state, 'failed')
  assert.equal((await alerts({ hook: channel }).raise(given))[0]!.state, 'failed')
  assert.equal(hook.bodies.length, 2)
  const kept = (await latestAlerts(metadata.database, 10, given.job)).find(
    ({ channel }) => channel === 'hook',
  )!
  assert.deepEqual([kept.state, kept.sent_at, kept.times], ['failed', null, 2])
  assert.match(kept.payload, /answered 400 bad \*\*\*/)
  assert.ok(lines.some(line => line.includes('an alert could not be sent')))
  for (const text of [...lines, kept.payload, ...hook.bodies])
    for (const secret of SECRETS) assert.ok(!text.includes(secret), text)
})

test('a store that does not answer keeps nobody from being told', async t => {
  const hook = await receiver(t)
  const never = () => new Promise<never>(() => {})
  const database = { ...metadata.database, transaction: never, run: never, all: never }
  const raising = alerts({ hook: { kind: 'webhook', url: hook.url, format: 'json' } }, 300, {
    database,
  } as unknown as typeof metadata)
  const { result, millis } = await timed(raising.raise(failure()))
  assert.equal(result[0]!.state, 'sent')
  assert.ok(millis < 2000, `${millis} ms`)
})

test('ordinals', () => {
  const found = [1, 2, 3, 4, 11, 12, 13, 21, 101, 111, 112].map(ordinal)
  assert.equal(found.join(' '), '1st 2nd 3rd 4th 11th 12th 13th 21st 101st 111th 112th')
})
