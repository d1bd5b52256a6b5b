import { resolve } from 'node:path'
import { z } from 'zod'

const text = z.string().min(1)

/** What a database's connection may say beside its URL. */
const settings = {
  /** In place of the URL's; with any characters, as they are. */
  user: text.optional(),
  password: text.optional(),
  /** PEM files, from the job's folder: the authorities that the server's certificate must be of, and the client's own certificate. */
  ca: text.optional(),
  cert: text.optional(),
  key: text.optional(),
}

/** The settings of a database's connection; `example` shows the form of its URL. */
export function databaseSettings(example: string) {
  return z
    .strictObject({
      // Without the slashes all of it, the password too, would be the database's name.
      url: z.string().refine(url => /^\w+:\/\//.test(url), `expected a URL such as ${example}`),
      ...settings,
    })
    .superRefine(({ url, user, password, cert, key }, context) => {
      const issue = (path: string, message: string) =>
        context.addIssue({ code: 'custom', path: [path], message })
      const [, own = ''] = /^\w+:\/\/([^/?#]*)@/.exec(url) ?? []
      // `u:a/b@host`: what stands before the slash would be taken for the host.
      if (/^\w+:\/\/[^/?#]*[/?#][^?]*@/.test(url))
        issue(
          'url',
          'expected no @ after the host: a password with / ? # goes into password: beside the url, or is percent-encoded',
        )
      if (user !== undefined && own !== '') issue('user', 'expected the user once, here or in the url')
      if (password !== undefined && own.includes(':'))
        issue('password', 'expected the password once, here or in the url')
      if ((cert === undefined) !== (key === undefined))
        issue(cert === undefined ? 'key' : 'cert', 'expected cert and key together')
    })
}

export type DatabaseSettings = z.output<ReturnType<typeof databaseSettings>>

/** Names of a URL's parameters for what {@link databaseSettings} says of TLS. */
export interface TlsParameters {
  mode: string
  /** The mode that a `ca` asks for. */
  verified: string
  ca: string
  cert: string
  key: string
}

/** All that the settings say as one URL; files from `baseDir`. */
export function urlOf(settings: DatabaseSettings, baseDir: string, names: TlsParameters): string {
  const { user, password, ca, cert, key } = settings
  let { url } = settings
  if (user !== undefined || password !== undefined) {
    const [, scheme, own = '', rest] = /^(\w+:\/\/)(?:([^/?#]*)@)?(.*)$/s.exec(url)!
    const first = user === undefined ? own : encodeURIComponent(user)
    const second = password === undefined ? '' : `:${encodeURIComponent(password)}`
    url = `${scheme}${first}${second}@${rest}`
  }
  const cut = url.indexOf('?')
  const given = new URLSearchParams(cut < 0 ? '' : url.slice(cut + 1))
  const added = new URLSearchParams()
  if (ca !== undefined) {
    if (!given.has(names.mode)) added.set(names.mode, names.verified)
    added.set(names.ca, resolve(baseDir, ca))
  }
  if (cert !== undefined) added.set(names.cert, resolve(baseDir, cert))
  if (key !== undefined) added.set(names.key, resolve(baseDir, key))
  return added.size === 0 ? url : `${url}${cut < 0 ? '?' : '&'}${added}`
}
