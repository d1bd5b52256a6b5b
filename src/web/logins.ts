import type { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { EngineError, errorData } from '../../engine/errors.ts'
import { LoginLimit } from './access.ts'
import { type Asking, audit, COOKIE, callerOf, type Env, formOf, MAX_FORM, notOurs, show } from './asking.ts'
import type { WebContext } from './context.ts'
import { loginPage, ownPath } from './login.ts'
import { type BegunLogin, CALLBACK_PATH, type OpenId } from './openId.ts'

/** Seconds in which a log-in by a provider must be done. */
const LOGIN_S = 600
const TOO_MANY = 'Too many tries: wait for a quarter of an hour.'

/** Logging in, by a password or by an OpenID provider, and out. */
export function logins(app: Hono<Env>, web: WebContext): void {
  const { access } = web
  const limit = new LoginLimit()
  const { users, openId } = access.options
  const told = toldBy(web)
  const page = async (to: string | undefined, hasLeft = false) =>
    loginPage({
      to: ownPath(to),
      hasPasswords: (await users.list()).some(({ hasPassword }) => hasPassword),
      provider: openId?.name,
      hasLeft,
    })
  app.get('/login', async context =>
    show(context, await page(context.req.query('to'), context.req.query('left') !== undefined), 200),
  )
  app.post('/login', bodyLimit({ maxSize: MAX_FORM }), async context => {
    const caller = callerOf(context)
    if (!access.isOwnHost(caller) || !access.isOwnPage(caller)) return notOurs(context)
    const form = await formOf(context)
    const [name = '', password = '', to] = ['name', 'password', 'to'].map(field => form.get(field)?.[0])
    const again = async (status: 401 | 429, message: string) => show(context, await page(to), status, message)
    if (!limit.allows(name, caller.address)) {
      await told(context, name.slice(0, 100), '', 'refused: too many tries')
      return again(429, TOO_MANY)
    }
    const secret = await users.logIn(name, password)
    if (secret === undefined) {
      await told(context, name.slice(0, 100), '', 'refused: name or password is wrong')
      return again(401, 'Name or password is wrong.')
    }
    limit.succeeded(name, caller.address)
    await told(context, name, (await users.roleOf(name)) ?? '', 'done')
    setCookie(context, COOKIE, secret, cookieOptions(web))
    return context.redirect(ownPath(to), 303)
  })
  app.post('/logout', async context => {
    const caller = callerOf(context)
    if (!access.isOwnPage(caller)) return notOurs(context)
    if (caller.session) await users.logOut(caller.session)
    deleteCookie(context, COOKIE, { path: '/' })
    return context.redirect('/login?left', 303)
  })
  if (openId) providerLogins(app, web, openId, page)
}

const toldBy =
  (web: WebContext) =>
  (context: Asking, who: string, role: string, outcome: string, subject = '') =>
    audit(web, context, { who, role, action: 'log in', subject, outcome })

const isSecure = ({ access }: WebContext) => access.options.url?.protocol === 'https:'

const cookieOptions = (web: WebContext) =>
  ({ httpOnly: true, sameSite: 'Lax', path: '/', secure: isSecure(web) }) as const

/** Logging in where a provider asks who it is. What has begun is kept by the browser that began it, and by no other. */
function providerLogins(
  app: Hono<Env>,
  web: WebContext,
  openId: OpenId,
  page: (to: string | undefined) => Promise<ReturnType<typeof loginPage>>,
): void {
  const { access, log } = web
  const { users } = access.options
  const limit = new LoginLimit()
  const told = toldBy(web)
  // The prefix keeps neighbours below one domain from setting it; browsers take it over TLS only.
  const cookie = `${isSecure(web) ? '__Host-' : ''}${COOKIE}-login`
  const failed = async (context: Asking, error: unknown, to: string | undefined) => {
    if (!(error instanceof EngineError)) throw error
    log.warn({ error: errorData(error) }, 'a log-in failed')
    await told(context, '', '', `refused: ${error.message}`)
    const message = [error.message, error.hint].filter(Boolean).join('\n')
    return show(context, await page(to), error.code === 'PERMISSION_DENIED' ? 403 : 401, message)
  }
  app.get('/login/provider', async context => {
    const caller = callerOf(context)
    if (!access.isOwnHost(caller)) return notOurs(context)
    const to = ownPath(context.req.query('to'))
    if (!limit.allowsAny()) return show(context, await page(to), 429, TOO_MANY)
    try {
      const { url, begun } = await openId.begin(to)
      setCookie(context, cookie, Buffer.from(JSON.stringify(begun)).toString('base64url'), {
        ...cookieOptions(web),
        maxAge: LOGIN_S,
      })
      return context.redirect(url.href)
    } catch (error) {
      return failed(context, error, to)
    }
  })
  app.get(CALLBACK_PATH, async context => {
    const caller = callerOf(context)
    if (!access.isOwnHost(caller)) return notOurs(context)
    const begun = begunOf(getCookie(context, cookie))
    deleteCookie(context, cookie, { path: '/', secure: isSecure(web) })
    const answer = new URL(context.req.url).searchParams
    // Another's answer, or one that was used: the provider is not even asked.
    if (!begun || answer.get('state') !== begun.state) {
      await told(context, '', '', 'refused: it did not begin in this browser')
      const message = 'This log-in did not begin in this browser, or not within ten minutes: log in again.'
      return show(context, await page(begun?.to), 401, message)
    }
    try {
      const { name, role, subject } = await openId.finish(answer, begun)
      await told(context, name, role, 'done', `${openId.issuer} ${subject}`)
      setCookie(context, COOKIE, await users.letIn(name, role, openId.issuer), cookieOptions(web))
      return context.redirect(ownPath(begun.to), 303)
    } catch (error) {
      return failed(context, error, begun.to)
    }
  })
  app.get('/logout/provider', async context => {
    try {
      return context.redirect((await openId.logOutUrl())?.href ?? '/login')
    } catch (error) {
      return failed(context, error, undefined)
    }
  })
}

/** What a browser gives back of a log-in; undefined where that is nothing of ours. */
function begunOf(text: string | undefined): BegunLogin | undefined {
  try {
    const found = JSON.parse(Buffer.from(text ?? '', 'base64url').toString()) as Record<string, unknown>
    const isWhole = ['state', 'nonce', 'verifier', 'to'].every(
      name => typeof found[name] === 'string' && found[name] !== '',
    )
    return isWhole ? (found as unknown as BegunLogin) : undefined
  } catch {
    return undefined
  }
}
