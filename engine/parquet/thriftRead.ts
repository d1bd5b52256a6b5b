/** Reads Thrift's compact protocol (thrift.apache.org): structs as their fields by number, unknown ones too. */

export type Value = boolean | number | Uint8Array | Value[] | Struct
export interface Struct {
  [field: number]: Value | undefined
}

/** Reads one struct at `at`; `end` is where it ends. Throws RangeError where the bytes end first. */
export function readStruct(bytes: Uint8Array, at: number): { struct: Struct; end: number } {
  const reader = new Reader(bytes, at)
  const struct = reader.struct()
  return { struct, end: reader.at }
}

class Reader {
  at: number
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes
    this.at = at
  }

  struct(): Struct {
    const fields: Struct = {}
    for (let id = 0; ; ) {
      const head = this.byte()
      if (head === 0) return fields
      const step = head >> 4
      id = step === 0 ? this.zigzag() : id + step
      const type = head & 15
      // A boolean field's value is its type.
      fields[id] = type <= 2 ? type === 1 : this.value(type)
    }
  }

  private value(type: number): Value {
    switch (type) {
      case 1:
      case 2:
        return this.byte() === 1
      case 3:
        return (this.byte() << 24) >> 24
      case 4:
      case 5:
      case 6:
        return this.zigzag()
      case 7:
        return this.take(8)
      case 8:
        return this.take(this.varint())
      case 9:
      case 10:
        return this.list()
      case 12:
        return this.struct()
      default:
        throw new RangeError(`Thrift type ${type}`)
    }
  }

  private list(): Value[] {
    const head = this.byte()
    const size = head >> 4 === 15 ? this.varint() : head >> 4
    const type = head & 15
    return Array.from({ length: size }, () => this.value(type))
  }

  private take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new RangeError('Thrift: the bytes end too early')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  private byte(): number {
    if (this.at >= this.bytes.length) throw new RangeError('Thrift: the bytes end too early')
    return this.bytes[this.at++]!
  }

  varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }

  private zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
