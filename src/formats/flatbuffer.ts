/** A table of a flatbuffer; fields by their number in the format. */
export class Table {
  readonly at: number
  private readonly bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** Where a field's value is; undefined where it has the default. */
  place(field: number): number | undefined {
    const layout = this.at - this.bytes.readInt32LE(this.at)
    const slot = 4 + field * 2
    if (slot >= this.bytes.readUInt16LE(layout)) return undefined
    const offset = this.bytes.readUInt16LE(layout + slot)
    return offset === 0 ? undefined : this.at + offset
  }

  byte(field: number): number | undefined {
    const place = this.place(field)
    return place === undefined ? undefined : this.bytes.readUInt8(place)
  }

  long(field: number): bigint | undefined {
    const place = this.place(field)
    return place === undefined ? undefined : this.bytes.readBigInt64LE(place)
  }

  table(field: number): Table | undefined {
    const place = this.place(field)
    return place === undefined ? undefined : new Table(this.bytes, place + this.bytes.readUInt32LE(place))
  }

  text(field: number): string {
    const { start, count } = this.vector(field)
    return this.bytes.toString('utf8', start, start + count)
  }

  tables(field: number): Table[] {
    const { start, count } = this.vector(field)
    return Array.from({ length: count }, (_, index) => {
      const entry = start + index * 4
      return new Table(this.bytes, entry + this.bytes.readUInt32LE(entry))
    })
  }

  /** Of a string, its bytes. */
  vector(field: number): { start: number; count: number } {
    const place = this.place(field)
    if (place === undefined) return { start: 0, count: 0 }
    const start = place + this.bytes.readUInt32LE(place)
    return { start: start + 4, count: this.bytes.readUInt32LE(start) }
  }
}

export const root = (bytes: Buffer) => new Table(bytes, bytes.readUInt32LE(0))
