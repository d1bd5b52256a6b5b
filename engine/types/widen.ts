import { type LogicalType, typeName } from './logical.ts'

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

/**
 * The narrowest type that holds every value of two as they are: a number of either, or a date as the midnight that it
 * begins with. Undefined where there is none.
 */
export function common(one: LogicalType, other: LogicalType): LogicalType | undefined {
  if (typeName(one) === typeName(other) || widens(other, one)) return one
  if (widens(one, other)) return other
  const [a, b] = [asDecimal(one), asDecimal(other)]
  if (one.kind === 'int' && other.kind === 'int') {
    // Of two signs: an unsigned number needs a bit more.
    const bits = ([16, 32, 64] as const).find(
      wide => wide > (one.signed ? other : one).bits && wide >= (one.signed ? one : other).bits,
    )
    return bits ? { kind: 'int', bits, signed: true } : { kind: 'decimal', precision: 20, scale: 0 }
  }
  if (a && b) {
    const scale = Math.max(a.scale, b.scale)
    const precision = scale + Math.max(a.precision - a.scale, b.precision - b.scale)
    return precision <= 38 ? { kind: 'decimal', precision, scale } : undefined
  }
  const kinds = [one.kind, other.kind]
  const numbers = [one, other].every(
    type => type.kind === 'float' || (type.kind === 'int' && type.bits <= 32),
  )
  if (numbers && kinds.includes('float')) return { kind: 'float', bits: 64 }
  const moment = [one, other].find(type => type.kind === 'timestamp')
  return kinds.includes('date') && moment && !moment.zoned ? moment : undefined
}

function asDecimal(type: LogicalType): { precision: number; scale: number } | undefined {
  if (type.kind === 'int') return { precision: digits(type), scale: 0 }
  return type.kind === 'decimal' ? type : undefined
}

function digits({ bits, signed }: LogicalType & { kind: 'int' }): number {
  return bits === 64 ? DIGITS[64][signed ? 'signed' : 'unsigned'] : DIGITS[bits]
}
