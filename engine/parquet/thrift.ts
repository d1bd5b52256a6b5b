/** Thrift's compact protocol, as far as Parquet's metadata needs it (thrift.apache.org, parquet.thrift). */

export type Thrift =
  | { kind: 'bool'; value: boolean }
  | { kind: 'byte' | 'i16' | 'i32' | 'i64'; value: number }
  | { kind: 'text'; value: string }
  | { kind: 'binary'; value: Uint8Array }
  | { kind: 'struct'; fields: Fields }
  | { kind: 'list'; items: Thrift[] }

/** A struct's fields by their number; absent ones are undefined. Written in the order of their numbers. */
export type Fields = Record<number, Thrift | undefined>

export const bool = (value: boolean): Thrift => ({ kind: 'bool', value })
export const byte = (value: number): Thrift => ({ kind: 'byte', value })
export const i32 = (value: number): Thrift => ({ kind: 'i32', value })
export const i64 = (value: number): Thrift => ({ kind: 'i64', value })
export const text = (value: string): Thrift => ({ kind: 'text', value })
export const binary = (value: Uint8Array): Thrift => ({ kind: 'binary', value })
export const struct = (fields: Fields): Thrift => ({ kind: 'struct', fields })
export const list = (items: Thrift[]): Thrift => ({ kind: 'list', items })

/** The bytes of a struct. */
export function encodeStruct(fields: Fields): Uint8Array {
  const bytes: number[] = []
  put(bytes, struct(fields))
  return Uint8Array.from(bytes)
}

/** A number ≥ 0 as ULEB128: seven bits a byte, low ones first. */
export function varint(value: number): number[] {
  const bytes: number[] = []
  while (value > 0x7f) {
    bytes.push((value % 0x80) | 0x80)
    value = Math.floor(value / 0x80)
  }
  bytes.push(value)
  return bytes
}

/** Signed to unsigned, small magnitudes first: 0, -1, 1, -2 … become 0, 1, 2, 3 … */
export const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)

function put(bytes: number[], value: Thrift): void {
  switch (value.kind) {
    case 'bool':
      bytes.push(value.value ? 1 : 2)
      break
    case 'byte':
      bytes.push(value.value & 0xff)
      break
    case 'i16':
    case 'i32':
    case 'i64':
      bytes.push(...varint(zigzag(value.value)))
      break
    case 'text': {
      const utf8 = Buffer.from(value.value, 'utf8')
      bytes.push(...varint(utf8.length), ...utf8)
      break
    }
    case 'binary':
      bytes.push(...varint(value.value.length), ...value.value)
      break
    case 'list': {
      const type = value.items.length === 0 ? 12 : typeOf(value.items[0]!)
      if (value.items.length < 15) bytes.push((value.items.length << 4) | type)
      else bytes.push(0xf0 | type, ...varint(value.items.length))
      for (const item of value.items) put(bytes, item)
      break
    }
    case 'struct': {
      let last = 0
      for (const [key, field] of Object.entries(value.fields)) {
        if (field === undefined) continue
        const id = Number(key)
        bytes.push(((id - last) << 4) | typeOf(field))
        last = id
        // A boolean field's value is its type.
        if (field.kind !== 'bool') put(bytes, field)
      }
      bytes.push(0)
    }
  }
}

function typeOf(value: Thrift): number {
  if (value.kind === 'bool') return value.value ? 1 : 2
  return { byte: 3, i16: 4, i32: 5, i64: 6, text: 8, binary: 8, list: 9, struct: 12 }[value.kind]
}
