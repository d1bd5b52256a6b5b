import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { getCookie } from 'hono/cookie'
import { type AuditEntry, keepAudit } from '../metadata/auditLog.ts'
import type { Caller, Identity } from './access.ts'
import type { Form } from './actions.ts'
import type { Page, WebContext } from './context.ts'
import { layout } from './layout.ts'

export type Env = { Bindings: HttpBindings; Variables: { who: Identity } }
/** A request, and its answer. */
export type Asking = Context<Env>

/** Bytes of a form. */
export const MAX_FORM = 1_000_000
/** Holds the secret of a log-in. */
export const COOKIE = 'nightfreight'

/** As it was written, so that an encoded slash of a name stays one. */
export const pathOf = (context: Asking) => {
  const { pathname, searchParams } = new URL(context.req.url)
  return { path: pathname, query: searchParams }
}

export function show(
  context: Asking,
  page: Page,
  status: 200 | 401 | 403 | 404 | 429,
  message?: string,
): Response {
  const who = context.get('who') as Identity | undefined
  return context.html(layout(page, who, pathOf(context).path, message), status)
}

export const callerOf = (context: Asking): Caller => ({
  address: context.env.incoming?.socket.remoteAddress ?? '',
  header: name => context.req.header(name),
  headers: Object.keys(context.req.header()),
  session: getCookie(context, COOKIE),
})

export const notOurs = (context: Asking) => context.text('This did not come from a page of ours.\n', 403)

/** Writes down what somebody did, or tried to do, now and from there. */
export const audit = (
  { metadata, clock }: WebContext,
  context: Asking,
  entry: Omit<AuditEntry, 'at' | 'address'>,
) =>
  keepAudit(metadata.database, {
    at: clock.now().toISOString(),
    address: callerOf(context).address,
    ...entry,
  })

export async function formOf(context: Asking): Promise<Form> {
  const body = await context.req.parseBody({ all: true })
  return new Map(
    Object.entries(body).map(([name, value]) => [name, [value].flat().map(each => String(each))]),
  )
}
