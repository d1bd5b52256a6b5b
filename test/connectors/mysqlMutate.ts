import { EngineError } from '../../engine/errors.ts'
import { randomOf } from '../random.ts'
import { answer, describedAs, EVERY, EVERY_ROWS, readAnswer } from './mysqlAnswer.ts'

/** Whole numbers from 0 to less than n, the same ones for a seed. */
export function randomly(seed: number): (n: number) => number {
  const random = randomOf(seed)
  return n => Math.floor(random() * n)
}

const TELLING = [0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]
const COLUMNS = describedAs(EVERY)
const WHOLE = answer(EVERY, EVERY_ROWS)

/**
 * Mutates an answer `count` times, bytes changed, dropped, put in or cut off, and feeds it in pieces. Returns how
 * often it was refused, read to the end, and left waiting for more. Throws on any error but an EngineError that
 * names the table and the row.
 */
export function mutate(seed: number, count: number): { refused: number; over: number; waiting: number } {
  const next = randomly(seed)
  const seen = { refused: 0, over: 0, waiting: 0 }
  for (let turn = 0; turn < count; turn++) {
    const bytes = mutated(next)
    try {
      const { over } = readAnswer(COLUMNS, cut(bytes, next))
      if (over) seen.over++
      else seen.waiting++
    } catch (error) {
      const known = error instanceof EngineError && ['DECODE_FAILED', 'VALUE_INEXACT'].includes(error.code)
      if (
        !known ||
        !/^legacy\.t\b/.test(error.message) ||
        (error.code === 'DECODE_FAILED' && !/row|described|columns/.test(error.message))
      )
        throw new Error(`seed ${seed}, turn ${turn}: ${bytes.toString('hex')}`, { cause: error })
      seen.refused++
    }
  }
  return seen
}

function mutated(next: (n: number) => number): Buffer {
  let bytes: Buffer = Buffer.from(WHOLE)
  for (let edits = 1 + next(3); edits > 0; edits--) {
    const at = next(bytes.length)
    const byte = next(2) ? TELLING[next(TELLING.length)]! : next(256)
    const kind = next(10)
    if (kind < 7) bytes[at] = byte
    else if (kind === 7) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + next(4))])
    else if (kind === 8) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(byte), bytes.subarray(at)])
    else bytes = bytes.subarray(0, at + 1)
  }
  return bytes
}

function cut(bytes: Buffer, next: (n: number) => number): Buffer[] {
  const at = next(bytes.length + 1)
  return next(2) ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)]
}
