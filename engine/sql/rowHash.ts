import { type Column, type LogicalType, typeName } from '../types/logical.ts'
import { quote, quoteName } from './duckdb.ts'

/** Version of {@link rowHash}'s encoding; DuckDB's own version is the other half of a state's tag. */
export const ENCODING = '4'

/** Names of the two columns that hold a row's hash. */
export const HASH = ['_nf_hash_a', '_nf_hash_b'] as const

/**
 * SQL of a value as something of which DuckDB's `hash` differs wherever the values do. Floating-point values go as their
 * shortest text, which tells -0 from 0, and nested ones as DuckDB writes them. Of a decimal of 128 bits it joins the hashes of
 * both halves by exclusive or: 0 and -1 would be the same.
 */
export function hashable(type: LogicalType, value: string): string {
  const asText =
    type.kind === 'float' || type.kind === 'nested' || (type.kind === 'decimal' && type.precision > 18)
  return asText ? `${value}::VARCHAR` : value
}

/**
 * SQL of a row's 128-bit hash as two UBIGINTs named {@link HASH}, over the columns in order. DuckDB's `hash` folds the
 * hash of each value, NULL having one of its own, into that of the values before it, so that neither separators nor
 * the order of columns can be mistaken; the first value is the list of names and types. The second half starts from
 * another value and hashes texts joined, behind the length of each, since two texts that collide in one half must not do so in
 * both.
 *
 * DuckDB does not promise the same `hash` in every version: states carry its version, and those of two are never
 * compared.
 */
export function rowHash(columns: Column[], alias: string): string {
  const [first, second] = halves(columns, name => `${alias}.${quoteName(name)}`)
  return `${first} AS ${HASH[0]}, ${second} AS ${HASH[1]}`
}

/** SQL of the first half alone, of columns that go by their own names. */
export const firstHalf = (columns: Column[]): string => halves(columns, quoteName)[0]

function halves(columns: Column[], named: (name: string) => string): [string, string] {
  const types = quote(JSON.stringify(columns.map(({ name, type }) => [name, typeName(type)])))
  const values = columns.map(({ name, type }) => {
    const plain = named(name)
    const value = hashable(type, plain)
    return { value, kind: value === plain ? type.kind : 'text' }
  })
  const texts = values.flatMap(({ value, kind }) => (kind === 'text' ? [value] : []))
  const second = [
    `'~' || ${types}`,
    ...values.map(({ value, kind }) =>
      kind === 'text' ? `strlen(${value})` : kind === 'binary' ? `'~'::BLOB || ${value}` : value,
    ),
    ...(texts.length > 0 ? [`concat(${texts.join(', ')})`] : []),
  ]
  const first = [types, ...values.map(({ value }) => value)]
  return [`hash(${first.join(', ')})`, `hash(${second.join(', ')})`]
}
