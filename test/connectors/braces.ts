/** Lists and structs as Postgres writes them, in braces and parentheses. */
import assert from 'node:assert/strict'
import {
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import type { Text } from './typeTables.ts'

// Written by other means than those that read it.
export function braces(value: DuckDBValue): string {
  const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const part = (item: DuckDBValue, none: string) =>
    item === null ? none : item instanceof DuckDBListValue ? braces(item) : quoted(braces(item))
  if (value instanceof DuckDBListValue) return `{${value.items.map(item => part(item, 'NULL')).join(',')}}`
  if (value instanceof DuckDBStructValue)
    return `(${Object.values(value.entries)
      .map(field => (field === null ? '' : quoted(braces(field))))
      .join(',')})`
  assert.ok(!(value instanceof DuckDBMapValue))
  if (value instanceof DuckDBBlobValue) return `\\x${Buffer.from(value.bytes).toString('hex')}`
  if (Object.is(value, -0)) return '-0'
  return String(value)
    .replace(/^(\S+) \(BC\)(.*)$/, '$1$2 BC')
    .replace(/^0000(-.*)$/, '0001$1 BC')
}

/** A column's lists and structs, that are JSON as DuckDB writes it, in braces; numbers keep their digits. `type`: Postgres' own. */
export function bracesOfJson(text: Text, type: string): Text {
  if (text === null || !/^(\[(?!-?\d+:)|\{"(?:[^"\\]|\\.)*":)/.test(text)) return text
  const leaf = (item: unknown) =>
    type === 'jsonb[]'
      ? JSON.stringify(item)
      : typeof item === 'object'
        ? nested(item as object)
        : String(item)
  const quoted = (item: unknown): string => `"${leaf(item).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const nested = (value: object): string =>
    Array.isArray(value)
      ? `{${value.map(item => (item === null ? 'NULL' : Array.isArray(item) ? nested(item) : quoted(item))).join(',')}}`
      : `(${Object.values(value)
          .map(item => (item === null ? '' : quoted(item)))
          .join(',')})`
  return nested(
    JSON.parse(text, (_, value, context?: { source?: string }) => {
      if (typeof value === 'number') return context!.source
      return type === 'bytea[]' && typeof value === 'string' ? bytesOfText(value) : value
    }),
  )
}

/** DuckDB's text of bytes as Postgres'. */
const bytesOfText = (text: string) =>
  `\\x${text.replaceAll(/\\x(..)|(.)/gs, (_, hex, plain) => hex ?? plain.charCodeAt(0).toString(16).padStart(2, '0'))}`
