import { isUtf8 } from 'node:buffer'

/** Whether bytes[from, to) are UTF-8. */
export function isText(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at]! > 0x7f) return isUtf8(bytes.subarray(at, to))
  return true
}
