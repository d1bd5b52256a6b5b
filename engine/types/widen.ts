import type { LogicalType } from './logical.ts'

/** Decimal digits of the largest value of an integer type. */
const DIGITS = { 8: 3, 16: 5, 32: 10, 64: { signed: 19, unsigned: 20 } } as const

/** Whether `to` is another type than `from` and holds every value of it exactly, as DuckDB's CAST gives it. */
export function widens(from: LogicalType, to: LogicalType): boolean {
  switch (from.kind) {
    case 'int':
      // A float's significand has 24 bits, a double's 53.
      if (to.kind === 'float') return from.bits < (to.bits === 32 ? 24 : 53)
      if (to.kind === 'decimal') return to.precision - to.scale >= digits(from)
      if (to.kind !== 'int') return false
      return from.signed === to.signed ? to.bits > from.bits : to.signed && to.bits > from.bits
    case 'float':
      return to.kind === 'float' && to.bits > from.bits
    case 'decimal':
      return (
        to.kind === 'decimal' &&
        to.scale >= from.scale &&
        to.precision - to.scale >= from.precision - from.scale &&
        to.precision > from.precision
      )
    default:
      return false
  }
}

function digits({ bits, signed }: LogicalType & { kind: 'int' }): number {
  return bits === 64 ? DIGITS[64][signed ? 'signed' : 'unsigned'] : DIGITS[bits]
}
