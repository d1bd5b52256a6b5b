import { badFile } from './bad.ts'
import { magicOf } from './magic.ts'
import type { TextFormat } from './textFormat.ts'

/** Bytes by which a file is told. */
const LOOKED_AT = 4096

/** First bytes of packings that are not read, what they are called, and what unpacks them. */
const PACKED: [string, string, string][] = [
  ['\xfd7zXZ\0', 'xz', 'xz -d'],
  ['\x04\x22\x4d\x18', 'lz4', 'lz4 -d'],
  ['\xff\x06\0\0sNaPpY', 'snappy', 'snzip -d'],
  ['7z\xbc\xaf\x27\x1c', '7z', '7z x'],
  ['Rar!\x1a\x07', 'rar', 'unrar x'],
  ['\x1f\x9d', 'compress (.Z)', 'uncompress'],
]
/** First bytes of what is no table of ours. */
const OTHERS: [string, string][] = [
  [
    '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1',
    'a workbook of Excel 97 (.xls), or one with a password: save it as .xlsx without one, or as CSV',
  ],
  ['ORC', 'an ORC file'],
  ['Obj\x01', 'an Avro file'],
  ['SQLite format 3\0', 'a database of SQLite'],
  ['%PDF-', 'a PDF'],
]
/** Byte order marks, and the encodings that they are of. */
const MARKS: [string, string][] = [
  ['\xff\xfe\0\0', 'utf-32'],
  ['\0\0\xfe\xff', 'utf-32'],
  ['\xff\xfe', 'utf-16'],
  ['\xfe\xff', 'utf-16'],
  ['\xef\xbb\xbf', 'utf-8'],
]
const READ = 'gzip, zstd, bzip2 and zip are read.'

/**
 * The bytes again. Fails with a bad file where they begin as no text of this format and encoding can: packed, a page of
 * HTML, of another format or another encoding. A column of one text would take all of these.
 */
export async function* ownText(
  where: string,
  bytes: AsyncIterable<Buffer>,
  format: TextFormat,
): AsyncGenerator<Buffer> {
  const held: Buffer[] = []
  let length = 0
  for await (const chunk of bytes) {
    if (length >= LOOKED_AT) {
      yield chunk
      continue
    }
    held.push(chunk)
    length += chunk.length
    if (length < LOOKED_AT) continue
    refuse(where, Buffer.concat(held), format)
    yield* held
  }
  if (length >= LOOKED_AT) return
  refuse(where, Buffer.concat(held), format)
  yield* held
}

function refuse(where: string, head: Buffer, { format, encoding, header }: TextFormat): void {
  const start = head.toString('latin1', 0, LOOKED_AT)
  const fail = (what: string, hint: string) => {
    throw badFile(where, what, undefined, 'DECODE_FAILED', hint)
  }
  const packed = PACKED.find(([mark]) => start.startsWith(mark))
  if (packed) fail(`is packed by ${packed[1]}`, `Unpack it first (${packed[2]} FILE): ${READ}`)
  // The mark of a tar archive stands behind its first name.
  if (start.startsWith('ustar', 257))
    fail(
      'is a tar archive',
      'Unpack it first (tar -xf FILE), or pack the files as zip: gzip, zstd, bzip2 and zip are read.',
    )
  const other = OTHERS.find(([mark]) => start.startsWith(mark))
  if (other)
    fail(`is ${other[1]}`, 'Get it in a format that is read: csv, tsv, json, ndjson, parquet, arrow, excel.')
  if (format === 'excel') return
  const magic = magicOf(head)
  if (magic.compression)
    fail(`is packed by ${magic.compression}`, `Write compression: ${magic.compression} in this extract.`)
  const isRecord = magic.format === 'json' || magic.format === 'ndjson'
  const isSame = isRecord && (format === 'json' || format === 'ndjson')
  if (magic.format && !isSame && (header || !isRecord))
    fail(`is of the format ${magic.format}, not ${format}`, `Write format: ${magic.format} in this extract.`)
  const mark = MARKS.find(([mark]) => start.startsWith(mark))?.[1]
  if (mark === 'utf-32') fail('is UTF-32', 'Write it anew first: iconv -f UTF-32 -t UTF-8 FILE.')
  if (mark && !isWrittenAs(mark, encoding))
    fail(`begins with the mark of ${mark}, not of ${encoding}`, `Write encoding: ${mark} in this extract.`)
  const page = /^(?:\xef\xbb\xbf)?\s*<(!doctype\s+html|html|\?xml)\b/i.exec(start)?.[1]
  if (page)
    fail(
      `is ${page === '?xml' ? 'XML' : 'a page of HTML'}, not ${format}`,
      'Look at it: it may say why the data is not there, as a login or an error does.',
    )
}

const isWrittenAs = (mark: string, encoding: string) =>
  encoding.toLowerCase().replace('-', '').startsWith(mark.replace('-', ''))
