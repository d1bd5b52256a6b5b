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

/** The value at a path of field names and indexes in lists; undefined where there is none. */
export function at(value: unknown, path: readonly string[]): unknown {
  for (const name of path) {
    if (typeof value !== 'object' || value === null || isRawNumber(value) || !Object.hasOwn(value, name))
      return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}
