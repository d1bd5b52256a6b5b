/** A position in the write-ahead log from its notation, `16/B374D848`; what stands behind it is of `lastReadOf`. */
export function lsnOf(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})(?: |$)/.exec(text)
  if (!match) throw new RangeError(`not a position of a log: ${text}`)
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}

export const lsnText = (lsn: bigint): string =>
  `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`

/** The last transaction that was sent before a position: where it ended and when it committed (microseconds, 0 where none was sent since `end`). */
export interface LastRead {
  end: bigint
  micros: bigint
}

/** What is known of a position beside where it is: `16/B374D848 16/B374D810@795925973165000`. */
export function lastReadOf(text: string): LastRead | undefined {
  const [, end, micros] = / (\S+)@(\d+)$/.exec(text) ?? []
  return end === undefined ? undefined : { end: lsnOf(end), micros: BigInt(micros!) }
}

export const positionText = (lsn: bigint, { end, micros }: LastRead): string =>
  // Of a server that lags behind another, the end may be before what was read.
  end > lsn ? lsnText(lsn) : `${lsnText(lsn)} ${lsnText(end)}@${micros}`
