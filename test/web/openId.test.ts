/** Logging in by an OpenID provider: a real one, and one that lies. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, test } from 'node:test'
import { WebUsers } from '../../src/metadata/webUsers.ts'
import { freePort } from '../ports.ts'
import type { Hooks } from '../servers.ts'
import { seenJob } from '../service/seen.ts'
import { CLIENT, claimsOf, type ProviderOptions, SECRET, signed, startProvider } from './provider.ts'
import { openSite } from './site.ts'

/** A service whose people log in by a provider. */
async function openIdSite(hooks: Hooks, name: string, how: Omit<ProviderOptions, 'back'>, args: string[]) {
  const job = await seenJob(hooks, name)
  const port = await freePort()
  const provider = await startProvider(hooks, { back: `http://127.0.0.1:${port}`, ...how })
  const open = (more: string[]) =>
    openSite(hooks, {
      jobs: job.folder,
      home: job.home,
      port,
      args: more,
      env: {
        NIGHTFREIGHT_URL: `http://127.0.0.1:${port}`,
        NIGHTFREIGHT_OIDC_SECRET: how.method === 'none' ? '' : SECRET,
      },
    })
  return { ...provider, job, open, site: await open(['--oidc', provider.issuer, ...args]) }
}

/** Cookies of one browser, by where they come from. */
class Person {
  private readonly jars = new Map<string, Map<string, string>>()

  /** One request, without following where it leads. */
  async ask(address: string, init: RequestInit = {}) {
    const { origin } = new URL(address)
    const jar = this.jar(origin)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(address, {
      redirect: 'manual',
      ...init,
      headers: { cookie, accept: 'text/html', ...init.headers },
    })
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0]!.split(/=(.*)/s) as [string, string]
      if (value === '' || /max-age=0/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    const to = answer.headers.get('location')
    return {
      status: answer.status,
      text: await answer.text(),
      to: to === null ? undefined : new URL(to, address).href,
      cookies: answer.headers.getSetCookie(),
    }
  }

  /** Follows where an address leads, up to an answer that is a page, or to an address that matches. */
  async go(address: string, until?: RegExp): Promise<{ status: number; text: string; at: string }> {
    let at = address
    for (let step = 0; step < 15; step++) {
      if (step > 0 && until?.test(at)) return { status: 0, text: '', at }
      const { status, text, to } = await this.ask(at)
      if (to === undefined) return { status, text, at }
      at = to
    }
    throw new Error(`${address} leads nowhere`)
  }

  jar(origin: string): Map<string, string> {
    if (!this.jars.has(origin)) this.jars.set(origin, new Map())
    return this.jars.get(origin)!
  }
}

const { issuer, mood, idToken, site, job } = await openIdSite({ after }, 'openid', {}, [
  ...['--oidc-operator', 'oncall', 'admins', '--oidc-viewer', 'staff'],
])
mood.claims = {
  ada: { groups: ['staff', 'oncall'], preferred_username: 'ada <lovelace>' },
  bob: { groups: ['staff'] },
  carol: { groups: ['guests', 'staff2', 'oncall '] },
  dan: {},
}
const began = `${site.url}/login/provider?to=/jobs`
const CALLBACK = /\/login\/callback/

/** Logs somebody in, up to the provider's answer, which is not given yet. */
async function answered(account: string, from = began): Promise<{ person: Person; answer: string }> {
  mood.account = account
  const person = new Person()
  const { at } = await person.go(from, CALLBACK)
  assert.match(at, CALLBACK)
  return { person, answer: at }
}

/** Where the person is still nobody. */
async function isRefused(person: Person, answer: string, status: number, says: RegExp): Promise<void> {
  const found = await person.ask(answer)
  assert.equal(found.status, status, found.text)
  assert.match(found.text, says)
  assert.match((await person.ask(`${site.url}/runs`)).to!, /\/login\?to=/)
}

test('whoever has a role logs in and is led on; a viewer looks only; all is in the audit', async () => {
  mood.account = 'ada'
  const ada = new Person()
  const login = await ada.go(`${site.url}/runs?status=FAILED`)
  const href = /href="(\/login\/provider[^"]*)">Log in by 127\.0\.0\.1:\d+</.exec(login.text)?.[1]
  assert.ok(href, login.text)
  // Nobody has a password here.
  assert.doesNotMatch(login.text, /type="password"/)
  const { to, cookies } = await ada.ask(site.url + href.replaceAll('&#38;', '&'))
  const asked = new URL(to!)
  assert.equal(asked.origin, issuer)
  const sent = Object.fromEntries(asked.searchParams)
  assert.deepEqual(
    [sent.response_type, sent.client_id, sent.redirect_uri, sent.code_challenge_method],
    ['code', CLIENT, `${site.url}/login/callback`, 'S256'],
  )
  for (const name of ['state', 'nonce', 'code_challenge']) assert.ok(sent[name]!.length >= 43, name)
  assert.match(cookies[0]!, /HttpOnly/)
  assert.match(cookies[0]!, /SameSite=Lax/)
  const { status, text, at } = await ada.go(to!)
  assert.deepEqual([status, at], [200, `${site.url}/runs?status=FAILED`])
  assert.match(text, /ada &#60;lovelace&#62; · operator/)
  assert.deepEqual([...ada.jar(site.url).keys()], ['nightfreight'])
  const { person: bob, answer } = await answered('bob')
  assert.match((await bob.go(answer)).text, /bob · viewer/)
  const act = { method: 'POST', headers: { origin: site.url } }
  assert.equal((await bob.ask(`${site.url}/jobs/openid/pause`, act)).status, 403)
  assert.equal((await ada.ask(`${site.url}/jobs/openid/pause`, act)).status, 303)
  // A session is no proof of where a request comes from.
  const foreign = { method: 'POST', headers: { origin: 'https://evil.example' } }
  assert.equal((await ada.ask(`${site.url}/jobs/openid/pause`, foreign)).status, 403)
  const audit = (await ada.ask(`${site.url}/audit`)).text
  assert.match(audit, new RegExp(`log in</td><td>${issuer}/ bob</td><td>done`))
  assert.match(audit, /bob<\/td><td>viewer<\/td>.*pause job.*refused: a viewer looks only/s)
  const old = [...bob.jar(site.url)]
  const left = await bob.ask(`${site.url}/logout`, act)
  assert.match((await bob.ask(left.to!)).text, /Log out of 127/)
  const provider = new URL((await bob.ask(`${site.url}/logout/provider`)).to!)
  assert.deepEqual(
    [
      provider.origin,
      provider.searchParams.get('client_id'),
      provider.searchParams.get('post_logout_redirect_uri'),
    ],
    [issuer, CLIENT, `${site.url}/login`],
  )
  assert.equal((await bob.ask(provider.href)).status, 200)
  for (const [name, value] of old) bob.jar(site.url).set(name, value)
  assert.match((await bob.ask(`${site.url}/runs`)).to!, /\/login\?to=/)
})

test('whoever has no role is refused, and told why', async () => {
  const carol = await answered('carol')
  await isRefused(
    carol.person,
    carol.answer,
    403,
    /carol may not look here: .* nothing in the claim groups that/,
  )
  const dan = await answered('dan')
  await isRefused(dan.person, dan.answer, 403, /dan may not look here: .* gives no claim groups/)
  mood.refuses = true
  const eve = await answered('eve')
  mood.refuses = false
  await isRefused(eve.person, eve.answer, 401, /access_denied: they said no/)
})

test('an answer counts once, in the browser that asked, with its own state', async () => {
  const { person, answer } = await answered('ada')
  const before = mood.exchanges
  const other = new URL(answer)
  other.searchParams.set('state', 'x'.repeat(43))
  const cookies = new Map(person.jar(site.url))
  await isRefused(person, other.href, 401, /did not begin in this browser/)
  // That has cleared what had begun: the right answer comes too late, too.
  await isRefused(person, answer, 401, /did not begin in this browser/)
  await isRefused(new Person(), answer, 401, /did not begin in this browser/)
  assert.equal(mood.exchanges, before)
  const thief = new Person()
  for (const [name, value] of cookies) thief.jar(site.url).set(name, value)
  assert.equal((await thief.ask(answer)).to, `${site.url}/jobs`)
  // A code that was used; whoever has both is refused by the provider.
  const again = new Person()
  for (const [name, value] of cookies) again.jar(site.url).set(name, value)
  await isRefused(again, answer, 401, /invalid_grant/)
  // Another's code below one's own state: PKCE.
  const [mine, theirs] = [await answered('bob'), await answered('ada')]
  const mixed = new URL(mine.answer)
  mixed.searchParams.set('code', new URL(theirs.answer).searchParams.get('code')!)
  await isRefused(mine.person, mixed.href, 401, /invalid_grant/)
  for (const text of [
    '',
    '{}',
    'null',
    '[]',
    '{"state":"a"}',
    '{"state":1,"nonce":"","verifier":"","to":"/"}',
  ]) {
    const odd = new Person()
    odd.jar(site.url).set('nightfreight-login', Buffer.from(text).toString('base64url'))
    await isRefused(odd, `${site.url}/login/callback?code=x&state=a`, 401, /did not begin in this browser/)
  }
})

test('what another than the provider says is not believed', async () => {
  const mixedUp = await answered('ada')
  const answer = new URL(mixedUp.answer)
  answer.searchParams.set('iss', 'https://evil.example')
  await isRefused(mixedUp.person, answer.href, 401, /issuer|iss/)
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const unsigned = (claims: Record<string, unknown>) =>
    `${[{ alg: 'none' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
  const lies: Record<string, (claims: Record<string, unknown>) => string> = {
    'a key of somebody else': claims => signed(stranger, claims),
    'no signature': unsigned,
    'another issuer': claims => idToken({ ...claims, iss: 'https://evil.example' }),
    'for another client': claims => idToken({ ...claims, aud: 'other' }),
    'another log-in': claims => idToken({ ...claims, nonce: 'other' }),
    'no nonce': ({ nonce: _, ...claims }) => idToken(claims),
    'long over': claims => idToken({ ...claims, exp: 1_700_000_000, iat: 1_600_000_000 }),
    'another subject than userinfo has': claims => idToken({ ...claims, sub: 'bob' }),
  }
  for (const [what, lie] of Object.entries(lies)) {
    const { person, answer } = await answered('ada')
    mood.forge = body => ({ ...body, id_token: lie(claimsOf(body.id_token)) })
    const { status, text } = await person.ask(answer)
    mood.forge = undefined
    assert.deepEqual([what, status], [what, 401], text)
    assert.match((await person.ask(`${site.url}/runs`)).to!, /\/login\?to=/, what)
  }
  const { person, answer: none } = await answered('ada')
  mood.forge = ({ id_token: _, ...body }) => body
  await isRefused(person, none, 401, /id_token/)
  mood.forge = undefined
})

test('nobody is led elsewhere', async () => {
  for (const to of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
    '/a\r\nb',
    `/${'x'.repeat(3000)}`,
  ]) {
    const { person, answer } = await answered(
      'ada',
      `${site.url}/login/provider?${new URLSearchParams({ to })}`,
    )
    assert.equal((await person.ask(answer)).to, `${site.url}/`, to)
  }
  // Nor by a cookie that says so.
  const { person, answer } = await answered('ada')
  const jar = person.jar(site.url)
  const begun = JSON.parse(Buffer.from(jar.get('nightfreight-login')!, 'base64url').toString())
  jar.set(
    'nightfreight-login',
    Buffer.from(JSON.stringify({ ...begun, to: '//evil.example' })).toString('base64url'),
  )
  assert.equal((await person.ask(answer)).to, `${site.url}/`)
})

test('claims in the token, deep below, by a long name, of one value; a secret in the form; a client without one', async t => {
  const deep = await openIdSite(t, 'deep', { method: 'client_secret_post', inToken: true }, [
    ...[
      '--oidc-claim',
      'realm_access.roles',
      '--oidc-viewer',
      'night viewer',
      '--oidc-scope',
      'openid profile',
    ],
  ])
  deep.mood.claims = {
    ada: { realm_access: { roles: ['night viewer'] } },
    bob: { realm_access: { roles: [['night viewer']] } },
  }
  assert.match((await new Person().go(`${deep.site.url}/login/provider`)).text, /ada · viewer/)
  deep.mood.account = 'bob'
  assert.equal((await new Person().go(`${deep.site.url}/login/provider`)).status, 403)
  const long = await openIdSite(t, 'long', { method: 'none' }, [
    ...['--oidc-claim', 'https://nights.example/roles', '--oidc-operator', 'ops'],
  ])
  long.mood.claims = { ada: { 'https://nights.example/roles': 'ops' } }
  assert.match((await new Person().go(`${long.site.url}/login/provider`)).text, /ada · operator/)
})

test('a provider that is away, or is another, is told; passwords go on; it is asked again', async t => {
  const { mood, open, site, job, issuer } = await openIdSite(t, 'away', {}, ['--oidc-viewer', 'staff'])
  mood.claims = { ada: { groups: ['staff'] } }
  await new WebUsers(job.metadata.database, { now: () => new Date() }).set(
    'ops',
    'operator',
    'correct horse battery',
  )
  const person = new Person()
  mood.isAway = true
  const away = await person.go(`${site.url}/login/provider?to=/jobs`)
  assert.deepEqual([away.status, /503/.test(away.text)], [401, true], away.text)
  assert.match(away.text, /type="password"/)
  const body = new URLSearchParams({ name: 'ops', password: 'correct horse battery' })
  const byPassword = { method: 'POST', headers: { origin: site.url }, body }
  assert.equal((await new Person().ask(`${site.url}/login`, byPassword)).status, 303)
  mood.isAway = false
  mood.discovery = { issuer: 'https://evil.example' }
  const another = await person.go(`${site.url}/login/provider`)
  assert.deepEqual([another.status, /issuer/.test(another.text)], [401, true], another.text)
  mood.discovery = {}
  assert.match((await person.go(`${site.url}/login/provider?to=/jobs`)).text, /ada · viewer/)
  // Log-ins by a provider that is asked no more have ended; others have not.
  site.child.kill('SIGTERM')
  await new Promise(resolve => site.child.once('exit', resolve))
  await open([])
  assert.match((await person.ask(`${site.url}/jobs`)).to!, /\/login\?to=/)
  assert.doesNotMatch((await person.go(`${site.url}/jobs`)).text, new RegExp(new URL(issuer).host))
})

test('what cannot be meant is refused before anything is served', async () => {
  const NAMED = { NIGHTFREIGHT_URL: 'https://nights.example' }
  const refused = async (env: Record<string, string>, args: string[], says: RegExp) => {
    const { code, err } = await job.cliIn(env, 'serve', job.folder, '--port', '0', ...args)
    assert.equal(code, 2, err)
    assert.match(err, says)
  }
  const staff = ['--oidc-viewer', 'staff']
  await refused(NAMED, ['--oidc', 'http://login.example', ...staff], /no address that begins with https/)
  await refused(NAMED, ['--oidc', 'login.example', ...staff], /no address that begins with https/)
  await refused(
    { NIGHTFREIGHT_URL: '' },
    ['--oidc', 'https://login.example', ...staff],
    /needs NIGHTFREIGHT_URL/,
  )
  await refused(NAMED, ['--oidc', 'https://login.example'], /lets nobody in/)
  await refused(NAMED, staff, /none is named/)
  await refused(
    NAMED,
    ['--oidc', 'https://login.example', '--oidc-scope', 'profile', ...staff],
    /without openid/,
  )
})
