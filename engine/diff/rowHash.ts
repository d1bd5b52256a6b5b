import { quote, quoteName } from '../sql/duckdb.ts'
import { type Column, typeName } from '../types/logical.ts'

/** Version of {@link rowHash}'s encoding; DuckDB's own version is the other half of a state's tag. */
export const ENCODING = '3'

/** Names of the two columns that hold a row's hash. */
export const HASH = ['_nf_hash_a', '_nf_hash_b'] as const

/**
 * SQL of a row's 128-bit hash as two UBIGINTs named {@link HASH}, over the columns in order. DuckDB's `hash` folds the
 * hash of each value, NULL having one of its own, into that of the values before it, so that neither separators nor
 * the order of columns can be mistaken; the first value is the list of names and types. The second half starts from
 * another value and hashes texts with a prefix, since two texts that collide in one half must not do so in both.
 * Floating-point values go as their shortest text, which tells -0 from 0, and nested ones as DuckDB writes them.
 *
 * DuckDB does not promise the same `hash` in every version: states carry its version, and those of two are never
 * compared.
 */
export function rowHash(columns: Column[], alias: string): string {
  const types = quote(JSON.stringify(columns.map(({ name, type }) => [name, typeName(type)])))
  const of = ({ name, type }: Column) => {
    const value = `${alias}.${quoteName(name)}`
    return type.kind === 'float' || type.kind === 'nested' ? `${value}::VARCHAR` : value
  }
  const prefixed = (column: Column) => {
    const { kind } = column.type
    return kind === 'text' || kind === 'float' || kind === 'nested'
      ? `'~' || ${of(column)}`
      : kind === 'binary'
        ? `'~'::BLOB || ${of(column)}`
        : of(column)
  }
  const first = [types, ...columns.map(of)].join(', ')
  const second = [`'~' || ${types}`, ...columns.map(prefixed)].join(', ')
  return `hash(${first}) AS ${HASH[0]}, hash(${second}) AS ${HASH[1]}`
}
