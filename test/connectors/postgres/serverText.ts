import { isValid, type Vector } from '../../../engine/batch/batch.ts'
import { unflattened } from '../../../engine/types/logical.ts'

/**
 * A value as Postgres writes it in a session in UTC with ISO dates, worked out from the staged bytes by other means than
 * the decoder's; null for NULL. Floats come in JavaScript's notation: compare the numbers.
 */
export function serverText(vector: Vector, row: number): string | null {
  if (!isValid(vector, row)) return null
  const { data, offsets, column } = vector
  const { type } = column
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  switch (type.kind) {
    case 'bool':
      return data[row] === 1 ? 't' : 'f'
    case 'int':
      if (type.bits === 64)
        return String(type.signed ? view.getBigInt64(row * 8, true) : view.getBigUint64(row * 8, true))
      if (type.bits === 16) return String(view.getInt16(row * 2, true))
      return String(type.signed ? view.getInt32(row * 4, true) : view.getUint32(row * 4, true))
    case 'float': {
      const value = type.bits === 32 ? view.getFloat32(row * 4, true) : view.getFloat64(row * 8, true)
      return Object.is(value, -0) ? '-0' : String(value)
    }
    case 'decimal': {
      const value = (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true)
      const digits = String(value < 0n ? -value : value).padStart(type.scale + 1, '0')
      const cut = digits.length - type.scale
      const text = type.scale ? `${digits.slice(0, cut)}.${digits.slice(cut)}` : digits
      return value < 0n ? `-${text}` : text
    }
    case 'date': {
      const { text, bc } = civil(view.getInt32(row * 4, true))
      return text + bc
    }
    case 'time':
      return clock(Number(view.getBigInt64(row * 8, true)))
    case 'timestamp': {
      const micros = view.getBigInt64(row * 8, true)
      let days = micros / 86_400_000_000n
      if (micros < days * 86_400_000_000n) days--
      const { text, bc } = civil(Number(days))
      return `${text} ${clock(Number(micros - days * 86_400_000_000n))}${type.zoned ? '+00' : ''}${bc}`
    }
    case 'text':
      return Buffer.from(data.subarray(offsets![row]!, offsets![row + 1])).toString('utf8')
    case 'nested':
      return unflattened(type)
    case 'binary':
      return `\\x${Buffer.from(data.subarray(offsets![row]!, offsets![row + 1])).toString('hex')}`
  }
}

// Days since 1970 to the proleptic Gregorian calendar: Hinnant's civil_from_days.
function civil(days: number): { text: string; bc: string } {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const day = shifted - era * 146_097
  const year = Math.floor(
    (day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365,
  )
  const rest = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * rest + 2) / 153)
  const inMonth = rest - Math.floor((153 * month + 2) / 5) + 1
  const calendar = month < 10 ? month + 3 : month - 9
  const full = year + era * 400 + (calendar <= 2 ? 1 : 0)
  const shown = full > 0 ? full : 1 - full
  const two = (n: number) => (n < 10 ? `0${n}` : String(n))
  return {
    text: `${String(shown).padStart(4, '0')}-${two(calendar)}-${two(inMonth)}`,
    bc: full > 0 ? '' : ' BC',
  }
}

function clock(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000)
  const two = (n: number) => (n < 10 ? `0${n}` : String(n))
  const whole = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
  const fraction = micros % 1_000_000
  return fraction === 0 ? whole : `${whole}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`
}
