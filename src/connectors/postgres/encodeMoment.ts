import { EngineError } from '../../../engine/errors.ts'
import type { Values } from './encodeValues.ts'
import { present } from './encodeValues.ts'

// Postgres counts from 2000-01-01: days, and microseconds as high and low halves.
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000
const EPOCH_HIGH = Math.floor(EPOCH_MICROS / 2 ** 32)
const EPOCH_LOW = EPOCH_MICROS % 2 ** 32
const I32_MAX = 0x7fffffff
const I32_MIN = -0x80000000

export function writeDate(
  { source, validity, where }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    let days = source.getInt32((from + index) * 4, true)
    if (days <= -I32_MAX) days = I32_MIN
    else if (days !== I32_MAX) {
      days -= EPOCH_DAYS
      if (days < I32_MIN) outOfRange(where, from + index)
    }
    out.setInt32(to, 4)
    out.setInt32(to + 4, days)
    at[index] = to + 8
  }
}

export function writeTimestamp(
  { source, validity, where }: Values,
  out: DataView,
  at: Int32Array,
  from: number,
  count: number,
) {
  for (let index = 0; index < count; index++) {
    const to = at[index]!
    if (validity !== undefined && !present(validity, from + index)) {
      out.setInt32(to, -1)
      at[index] = to + 4
      continue
    }
    const value = (from + index) * 8
    let high = source.getInt32(value + 4, true)
    let low = source.getUint32(value, true)
    if (high === I32_MIN && low <= 1)
      low = 0 // -infinity
    else if (high !== I32_MAX || low !== 0xffffffff) {
      low -= EPOCH_LOW
      high -= EPOCH_HIGH + (low < 0 ? 1 : 0)
      if (high < I32_MIN) outOfRange(where, from + index)
    }
    out.setInt32(to, 8)
    out.setInt32(to + 4, high)
    out.setInt32(to + 8, low)
    at[index] = to + 12
  }
}

export function outOfRange(where: string, row: number): never {
  throw new EngineError('DATA_INVALID', `${where}: row ${row + 1} of the part is out of Postgres's range`, {
    hint: 'Add a row check to the model, so that such rows go to the quarantine.',
  })
}
