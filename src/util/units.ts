const MICROS: Record<string, number> = {
  us: 1,
  ms: 1e3,
  s: 1e6,
  m: 60e6,
  h: 3600e6,
  d: 86_400e6,
  w: 7 * 86_400e6,
}

const BYTES: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** `5m`, `1h30m`, `1.5s`, `0` → microseconds; undefined where the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (/^0+$/.test(text)) return 0
  if (!/^(\d+(\.\d+)?\s*(us|ms|s|m|h|d|w)\s*)+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)/g))
    total += Number(amount) * (MICROS[unit ?? ''] ?? Number.NaN)
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined
}

/** A size for people. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** `512MB`, `1GB`, `2GiB` → bytes (decimal units are powers of 1000, as DuckDB reads them). */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b|b)$/i.exec(text.trim())
  if (!match) return undefined
  const bytes = Math.floor(Number(match[1]) * (BYTES[(match[2] ?? '').toUpperCase()] ?? Number.NaN))
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined
}

/** A finite number, or decimal text of one (what `${VAR}` gives). */
export function parseNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  return typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : undefined
}
