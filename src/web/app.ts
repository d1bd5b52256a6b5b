import { randomBytes } from 'node:crypto'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { EngineError, errorData } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { runDetails } from '../metadata/runDetails.ts'
import type { ReportData } from '../report/data.ts'
import { renderReport } from '../report/html.ts'
import { html } from '../report/markup.ts'
import { csvOf } from '../runs/correctionCsv.ts'
import { shownRecord } from '../runs/mask.ts'
import { jobPath, runPath } from '../util/site.ts'
import { type Act, correct, ERROR_ACTIONS, JOB_ACTIONS, RUN_ACTIONS } from './actions.ts'
import { type Asking, audit, callerOf, type Env, formOf, MAX_FORM, notOurs, pathOf, show } from './asking.ts'
import { mayAct, type Page, type WebContext } from './context.ts'
import { Events } from './events.ts'
import { ownPath, unsetPage } from './login.ts'
import { logins } from './logins.ts'
import { errorQuery, recordPath } from './pages/errors.ts'
import { findPage } from './pages/index.ts'
import { SCRIPT } from './script.ts'
import { ICON, STYLE } from './style.ts'

/** Messages that were not looked at yet. */
const MAX_SAID = 1000

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
}
/** Of a report, which is a page on its own. */
const REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

/** All that is served: health, metrics, pages, and what buttons do. */
export function createApp(web: WebContext): Hono<Env> {
  const app = new Hono<Env>()
  const said = new Map<string, string>()
  app.use(async (context, next) => {
    await next()
    for (const [name, value] of Object.entries(HEADERS))
      if (!context.res.headers.has(name)) context.res.headers.set(name, value)
  })
  app.onError((error, context) => {
    if (error instanceof HTTPException) return error.getResponse()
    web.log.error({ path: context.req.path, error: errorData(error) }, 'a page failed')
    return context.text('This page failed; the log says why.\n', 500)
  })
  health(app, web)
  assets(app)
  logins(app, web)
  app.use(gate(web))
  app.get('/metrics', async context =>
    context.body(await web.seen.metrics(), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  )
  app.use(bodyLimit({ maxSize: MAX_FORM }))
  downloads(app, web)
  events(app, web)
  acts(app, web, said)
  app.get('*', async context => {
    const { path, query } = pathOf(context)
    const page = await findPage(web, path, query, context.get('who'))
    const key = query.get('said')
    const message = key ? said.get(key) : undefined
    if (key) said.delete(key)
    return page ? show(context, page, 200, message) : show(context, NOTHING, 404)
  })
  return app
}

const NOTHING: Page = {
  title: 'Nothing here',
  main: html`<h1>Nothing here</h1><p>There is no such page.</p>`,
}

function health(app: Hono<Env>, { seen }: WebContext): void {
  app.get('/healthz', context =>
    seen.isAlive() ? context.text('ok\n') : context.text('the scheduler hangs\n', 503),
  )
  app.get('/readyz', context => {
    const trouble = seen.trouble()
    if (trouble) return context.text(`${trouble}\n`, 503)
    return context.text(seen.facts().leads ? 'leads\n' : 'stands by\n')
  })
}

function assets(app: Hono<Env>): void {
  const give = (path: string, type: string, text: string) =>
    app.get(path, context =>
      context.body(text, 200, { 'content-type': type, 'cache-control': 'public, max-age=300' }),
    )
  give('/style.css', 'text/css; charset=utf-8', STYLE)
  give('/script.js', 'text/javascript; charset=utf-8', SCRIPT)
  give('/icon.svg', 'image/svg+xml', ICON)
}

/** Lets in who may; whoever is not known is asked for a name, programs are told. */
function gate({ access }: WebContext) {
  return async (context: Asking, next: () => Promise<void>) => {
    const caller = callerOf(context)
    const found = await access.identify(caller)
    if (found === 'foreign host') return context.text('This is not served under that name.\n', 403)
    if (found === 'unset') return show(context, unsetPage, 403)
    if (found === 'unknown') {
      const isPage = context.req.method === 'GET' && context.req.header('accept')?.includes('text/html')
      if (!isPage || context.req.header('authorization') !== undefined)
        return context.text('Who asks? Send Authorization: Bearer TOKEN, or log in.\n', 401, {
          'www-authenticate': 'Bearer',
        })
      const { path, query } = pathOf(context)
      return context.redirect(
        `/login?${new URLSearchParams({ to: `${path}${query.size > 0 ? `?${query}` : ''}` })}`,
      )
    }
    context.set('who', found)
    const changes = context.req.method !== 'GET' && context.req.method !== 'HEAD'
    return changes && !access.isOwnPage(caller) ? notOurs(context) : next()
  }
}

function downloads(app: Hono<Env>, { metadata, mask }: WebContext): void {
  const report = async (run: string) => (await runDetails<ReportData>(metadata.database, run)).report
  app.get('/runs/:run/report.html', async context => {
    const found = await report(context.req.param('run'))
    if (!found) return show(context, NOTHING, 404)
    return context.html(renderReport(found), 200, { 'content-security-policy': REPORT_POLICY })
  })
  app.get('/runs/:run/report.json', async context => {
    const found = await report(context.req.param('run'))
    return found ? context.json(found) : context.json({ error: 'there is no such report' }, 404)
  })
  app.get('/errors.csv', context => {
    const wanted = errorQuery(pathOf(context).query)
    const lines = csvOf(
      () => metadata.errors.pages(wanted),
      record => shownRecord(mask, record),
    )
    return context.body(ReadableStream.from(lines).pipeThrough(new TextEncoderStream()), 200, {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': 'attachment; filename="errors.csv"',
    })
  })
}

function events(app: Hono<Env>, web: WebContext): void {
  const events = new Events()
  app.get('/events', context => {
    const who = context.get('who')
    const asked = new URL(ownPath(context.req.query('page')), 'http://here')
    if (events.isFull) return context.text('Too many watch already.\n', 503)
    const look = async () => {
      const page = await findPage(web, asked.pathname, asked.searchParams, who)
      return page && { main: page.main.text, isLive: page.isLive ?? false }
    }
    const caller = callerOf(context)
    const mayWatch = async () => {
      const found = await web.access.identify(caller)
      return typeof found !== 'string' && found.role === who.role
    }
    return events.watch(context, `${who.role} ${asked.pathname}${asked.search}`, look, mayWatch)
  })
}

function acts(app: Hono<Env>, web: WebContext, said: Map<string, string>): void {
  const act = async (
    context: Asking,
    action: string,
    subject: string,
    back: string,
    perform: Act | undefined,
  ): Promise<Response> => {
    const who = context.get('who')
    const told = (outcome: string) =>
      audit(web, context, { who: who.name, role: who.role, action, subject, outcome })
    if (!perform) return show(context, NOTHING, 404)
    if (!mayAct(who)) {
      await told('refused: a viewer looks only')
      return context.text('A viewer looks only.\n', 403)
    }
    const leadTo = (path: string, text: string) => {
      const key = randomBytes(9).toString('base64url')
      said.set(key, text)
      if (said.size > MAX_SAID) said.delete(said.keys().next().value!)
      return context.redirect(`${path}${path.includes('?') ? '&' : '?'}said=${key}`, 303)
    }
    try {
      const { said: text, to } = await perform(web, subject, await formOf(context), who)
      await told('done')
      return leadTo(to, text)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      await told(`refused: ${error.message}`)
      return leadTo(back, error.message)
    }
  }
  app.post('/runs/:name/:action', context => {
    const { name, action } = context.req.param()
    return act(context, `${action} run`, name, runPath(name), ownValue(RUN_ACTIONS, action))
  })
  app.post('/jobs/:name/:action', context => {
    const { name, action } = context.req.param()
    return act(context, `${action} job`, name, jobPath(name), ownValue(JOB_ACTIONS, action))
  })
  app.post('/errors/:id/correct', context => {
    const { id } = context.req.param()
    return act(context, 'correct row', id, recordPath(id), correct)
  })
  app.post('/errors/:action', context => {
    const { action } = context.req.param()
    return act(context, `${action} rows`, '', '/errors', ownValue(ERROR_ACTIONS, action))
  })
}
