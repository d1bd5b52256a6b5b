import { z } from 'zod'
import { readTls, tlsOptions } from '../../util/tls.ts'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { size } from '../wire/size.ts'
import type { Access } from './access.ts'
import { typesOf } from './columns.ts'
import { options, path } from './options.ts'
import { HttpSource } from './source.ts'
import { TYPES } from './types.ts'

const url = z.url({ protocol: /^https?$/ })
const text = z.string().min(1)

const config = z
  .strictObject({
    url,
    /** Sent as `Authorization: Bearer`, or as it is in the header that `token_header` names. */
    token: text.optional(),
    token_header: text.optional(),
    /** Basic authentication; also as `user:password@` in the url. */
    user: text.optional(),
    password: text.optional(),
    /** OAuth 2.0, client credentials: an access token is fetched, and fetched again when it ends or is refused. */
    oauth: z
      .strictObject({
        token_url: url,
        client_id: text,
        client_secret: text,
        scope: text.optional(),
        /** Where id and secret are sent: in the Authorization header, or in the form. */
        send: z.enum(['header', 'form']).default('header'),
      })
      .optional(),
    /** Further headers: versions, tenants. */
    headers: z.record(text, text).default({}),
    /** Other origins that redirects and next URLs may lead to: `https://pages.example.com`. They get no credentials. */
    origins: z.array(url.transform(origin => new URL(origin).origin)).default([]),
    /** What a probe asks for. */
    health: path.default('/health'),
    /** Seconds that one response may take. */
    timeout: z.number().positive().default(30),
    /** Times that a request is sent before it has failed. */
    attempts: z.int().positive().default(4),
    /** Budget, spread evenly. */
    requests_per_minute: z.number().positive().optional(),
    /** Requests under way at once, where the kind of pagination allows: page and offset with a total. */
    concurrency: z.int().positive().max(32).default(1),
    ...tlsOptions,
    /** Bytes of one response, unpacked. */
    max_response: size.prefault('64MB'),
  })
  .refine(
    ({ url, token, user, password, oauth }) =>
      [token, user ?? password, URL.canParse(url) && new URL(url).username, oauth].filter(Boolean).length < 2,
    { message: 'expected one of token, user and password, user:password@ in the url, and oauth' },
  )
  .refine(({ user, password }) => (user === undefined) === (password === undefined), {
    path: ['user'],
    message: 'expected user and password together',
  })
  .refine(({ token, token_header }) => token !== undefined || token_header === undefined, {
    path: ['token_header'],
    message: 'expected token beside it',
  })

/** JSON over HTTP as a source: page after page, numbers to the last digit as the server wrote them. */
export const http = defineConnector({
  name: 'http',
  schemes: ['http', 'https'],
  config,
  extract: options,
  capabilities: {
    source: true,
    target: false,
    incremental: true,
    modes: [],
  },
  declared: ({ schema }) => typesOf(schema),
  types: TYPES,
  check: (settings, context) => void accessOf(settings, context),
  advise: ({ paginate, overlap }) =>
    (paginate === 'page' || paginate === 'offset') && overlap === 0
      ? {
          message: `pages by ${paginate === 'page' ? 'number' : 'offset'} over a list that changes while it is read can miss records`,
          hint: 'Page by cursor where the API has it; or write paginate: offset and overlap: 1, which asks for the last record of a page again and stops where it is another.',
        }
      : undefined,
  source: (settings, context) => new HttpSource(accessOf(settings, context), settings.health),
})

function accessOf(
  settings: z.output<typeof config>,
  { name, baseDir, secrets = [] }: ConnectionContext,
): Access {
  const { token, token_header, user, password, oauth } = settings
  const { username, password: inUrl } = new URL(settings.url)
  const basic =
    user !== undefined && password !== undefined
      ? { user, password }
      : username
        ? { user: decodeURIComponent(username), password: decodeURIComponent(inUrl) }
        : undefined
  return {
    name,
    url: settings.url,
    credentials: {
      ...(token !== undefined && { token }),
      ...(token_header !== undefined && { tokenHeader: token_header }),
      ...(basic && { basic }),
      ...(oauth && {
        oauth: {
          tokenUrl: oauth.token_url,
          clientId: oauth.client_id,
          clientSecret: oauth.client_secret,
          send: oauth.send,
          ...(oauth.scope !== undefined && { scope: oauth.scope }),
        },
      }),
    },
    secrets: [
      ...new Set([
        ...secrets,
        token,
        basic?.password,
        oauth?.client_secret,
        ...Object.values(settings.headers),
      ]),
    ].filter(secret => secret !== undefined),
    headers: settings.headers,
    tls: readTls(`connections.${name}`, settings, baseDir),
    origins: settings.origins,
    timeout: settings.timeout,
    attempts: settings.attempts,
    ...(settings.requests_per_minute !== undefined && { perMinute: settings.requests_per_minute }),
    maxResponse: settings.max_response,
    concurrency: settings.concurrency,
  }
}
