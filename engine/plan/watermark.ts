import type { LogicalType } from '../types/logical.ts'

/**
 * The value `lag` before a watermark. `value` is DuckDB's text of it; `lag` is in microseconds for timestamps and
 * dates (a date goes back whole days, rounded up) and in units for integers.
 */
export function before(value: string, type: LogicalType, lag: number): string {
  switch (type.kind) {
    case 'int':
      return (BigInt(value) - BigInt(lag)).toString()
    case 'date': {
      const days = Math.ceil(lag / 86_400_000_000)
      return new Date(Date.parse(`${value}T00:00:00Z`) - days * 86_400_000).toISOString().slice(0, 10)
    }
    case 'timestamp': {
      const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(\+00)?$/.exec(value)
      if (!match) throw new RangeError(`not a timestamp of DuckDB's: ${value}`)
      const seconds = BigInt(Date.parse(`${match[1]}T${match[2]}Z`)) * 1000n
      const micros = seconds + BigInt((match[3] ?? '').padEnd(6, '0')) - BigInt(lag)
      const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
      const whole = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19).replace('T', ' ')
      return `${whole}.${fraction.toString().padStart(6, '0')}${type.zoned ? '+00' : ''}`
    }
    default:
      throw new RangeError(`a watermark cannot be ${type.kind}`)
  }
}

/** Whether a column of this type can be a watermark. */
export function canBeWatermark(type: LogicalType): boolean {
  return type.kind === 'int' || type.kind === 'date' || type.kind === 'timestamp'
}
