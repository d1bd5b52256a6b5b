/**
 * A position in a binary log: `binlog.000007:4711`, and behind it, where known, the GTIDs up to there and the server
 * whose files those are: `binlog.000007:4711 0-1-57 @1`.
 */
export interface BinlogPosition {
  file: string
  offset: number
  gtids: string
  server: string
}

export function positionText({ file, offset, gtids, server }: BinlogPosition): string {
  return [`${file}:${offset}`, ...(gtids ? [gtids] : []), ...(server ? [`@${server}`] : [])].join(' ')
}

export function binlogPosition(text: string): BinlogPosition {
  const match = /^(\S+):(\d+)(?: ([^@\s]+))?(?: @(\S+))?$/.exec(text)
  if (!match) throw new RangeError(`not a position of a binary log: ${text}`)
  const [, file = '', offset, gtids = '', server = ''] = match
  return { file, offset: Number(offset), gtids, server }
}

/** The number that a log file's name ends with: files follow each other by it. */
export const fileNumber = (file: string) => Number(/\.(\d+)$/.exec(file)?.[1] ?? Number.NaN)

/** Whether `a` is at or after `b`, in the same server's files. */
export function reaches(
  a: Pick<BinlogPosition, 'file' | 'offset'>,
  b: Pick<BinlogPosition, 'file' | 'offset'>,
): boolean {
  const [first, second] = [fileNumber(a.file), fileNumber(b.file)]
  return first > second || (first === second && a.offset >= b.offset)
}
