import { setTimeout as sleep } from 'node:timers/promises'

const BACKOFF_MS = 250
/** A limit by the minute is not cured by the pause that a server's hiccup needs. */
const LIMITED_BACKOFF_MS = 1000

/** Keeps requests to the budget of a minute, spread evenly, and all of them back while the server asks for a pause. */
export class Pace {
  private readonly gap: number
  private free = 0

  constructor(perMinute: number | undefined) {
    this.gap = perMinute === undefined ? 0 : 60_000 / perMinute
  }

  /** Resolves when the next request may be sent. */
  async turn(signal: AbortSignal): Promise<void> {
    const now = performance.now()
    const at = Math.max(now, this.free)
    this.free = at + this.gap
    if (at > now) await sleep(at - now, undefined, { signal })
  }

  /** No request is sent for so many milliseconds. */
  hold(pause: number): void {
    this.free = Math.max(this.free, performance.now() + pause)
  }
}

/** Milliseconds before the next attempt, longer each time; half of it is chance, so that clients spread out. */
export function backoff(attempt: number, limited: boolean): number {
  const base = limited ? LIMITED_BACKOFF_MS : BACKOFF_MS
  return base * 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
}

/** Milliseconds of a Retry-After header (RFC 9110, 10.2.3): seconds or an HTTP date. */
export function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined
  const pause = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(pause) ? undefined : Math.max(0, pause)
}

/** Whether an answer says that too much was asked: 429, or 403 with the headers of a rate limit. */
export function isLimited(status: number, headers: Headers): boolean {
  if (status === 429) return true
  if (status !== 403) return false
  return headers.has('retry-after') || REMAINING.some(name => headers.get(name)?.trim() === '0')
}

/** Milliseconds that an answer asks to wait: by Retry-After, or until its rate limit is reset, where nothing is left of it. */
export function askedPause(headers: Headers): number | undefined {
  const pause = retryAfter(headers.get('retry-after'))
  if (pause !== undefined) return pause
  const left = REMAINING.map(name => headers.get(name)).find(value => value !== null)
  if (left !== undefined && Number(left) > 0) return undefined
  for (const name of RESET) {
    const value = headers.get(name)?.trim()
    if (!value) continue
    // Seconds from now, a time in seconds or milliseconds since 1970, or a date.
    if (!/^\d+(\.\d+)?$/.test(value)) return retryAfter(value)
    const number = Number(value)
    return Math.max(0, number < 1e9 ? number * 1000 : (number < 1e11 ? number * 1000 : number) - Date.now())
  }
  return undefined
}

const NAMES = ['x-ratelimit', 'x-rate-limit', 'ratelimit']
const REMAINING = NAMES.map(name => `${name}-remaining`)
const RESET = NAMES.map(name => `${name}-reset`)
