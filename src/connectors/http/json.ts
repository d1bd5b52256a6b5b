/** A number whose digits a double does not print the same way: `12.10`, `123456789012345678`. */
export interface RawNumber {
  rawJSON: string
}

// Of the ECMAScript proposal "JSON.parse source text access"; TypeScript's library does not declare it yet.
const SourceJSON = JSON as unknown as {
  parse(text: string, revive: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
}

/** Parses JSON without losing a digit: a number that a double would write differently comes as {@link RawNumber}. */
export function parseExact(text: string): unknown {
  return SourceJSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? SourceJSON.rawJSON(source)
      : value,
  )
}

export const isRawNumber = (value: unknown): value is RawNumber => SourceJSON.isRawJSON(value)

/**
 * Where a value is: field names and positions in lists (from 0; from -1 backwards), joined by dots or listed. A list is
 * taken as it stands; in a text, a name that itself has dots is found before it is read as a path.
 */
export type FieldPath = string | readonly string[]

/** The keys that a path leads by; undefined where nothing is there. */
export function resolvePath(value: unknown, path: FieldPath): string[] | undefined {
  return typeof path === 'string' ? byDots(value, path.split('.')) : byNames(value, path)
}

/** The value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: FieldPath): unknown {
  const keys = resolvePath(value, path)
  return keys?.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value)
}

/** A path as it is written in a job. */
export function pathText(path: FieldPath): string {
  return typeof path === 'string' ? path : path.length === 1 ? path[0]! : JSON.stringify(path)
}

function byNames(value: unknown, names: readonly string[]): string[] | undefined {
  const keys: string[] = []
  for (const name of names) {
    const key = keyOf(value, name)
    if (key === undefined) return undefined
    keys.push(key)
    value = (value as Record<string, unknown>)[key]
  }
  return keys
}

// The longest name that is there first: `@odata.nextLink` is one key.
function byDots(value: unknown, names: string[]): string[] | undefined {
  if (names.length === 0) return []
  for (let taken = names.length; taken > 0; taken--) {
    const key = keyOf(value, names.slice(0, taken).join('.'))
    if (key === undefined) continue
    const rest = byDots((value as Record<string, unknown>)[key], names.slice(taken))
    if (rest) return [key, ...rest]
  }
  return undefined
}

function keyOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return undefined
  const key = Array.isArray(value) && /^-\d+$/.test(name) ? String(value.length + Number(name)) : name
  return Object.hasOwn(value, key) ? key : undefined
}
