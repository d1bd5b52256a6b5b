const MASK = '***'

/** Below so many characters, what happens to be the same as a secret is masked only where it stands alone. */
const SHORT = 8

/** Masks every known secret in a text, also as JSON, URLs and HTTP write it, and the password of any URL. */
export function redact(text: string, secrets: readonly string[]): string {
  const forms = [...new Set(secrets.flatMap(formsOf))].filter(form => text.includes(form)).sort(longestFirst)
  const alone = (form: string) =>
    form.length < SHORT ? `(?<![\\p{L}\\p{N}])${escaped(form)}(?![\\p{L}\\p{N}])` : escaped(form)
  if (forms.length > 0) text = text.replace(new RegExp(forms.map(alone).join('|'), 'gu'), MASK)
  // `user:password@host` is how a hint shows the shape of a URL.
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*):(?!password@host)[^\s/@"']+@/gi, `$1:${MASK}@`)
}

/** The same for JSON: its texts are masked, its names and numbers stay. */
export function redactJson(json: string, secrets: readonly string[]): string {
  return json.replace(/("(?:[^"\\]|\\.)*")(\s*:)?/g, (all, text: string, colon?: string) =>
    colon === undefined ? redact(text, secrets) : all,
  )
}

/** A secret as it may be written, in the order of {@link redact}: longest first, so that no part of one stays readable. */
export function formsOf(secret: string): string[] {
  if (secret === '') return []
  const url = encodeURIComponent(secret.toWellFormed())
  const form = new URLSearchParams({ s: secret }).toString().slice(2)
  return [...new Set([secret, JSON.stringify(secret).slice(1, -1), url, form, secret.replaceAll(' ', '+')])]
}

const longestFirst = (a: string, b: string) => b.length - a.length

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
