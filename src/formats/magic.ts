import type { Format } from './byName.ts'
import type { Compression } from './compression.ts'

/** What a file is by its first bytes, whatever its name. */
export interface Magic {
  format?: Format
  compression?: Compression
}

// Longer than the names of columns that begin alike.
const MARKS: [string, Magic][] = [
  ['PAR1\x15', { format: 'parquet' }],
  ['ARROW1\0\0', { format: 'arrow' }],
  ['\x1f\x8b\x08', { compression: 'gzip' }],
  ['\x28\xb5\x2f\xfd', { compression: 'zstd' }],
  ...Array.from({ length: 9 }, (_, size): [string, Magic] => [
    `BZh${size + 1}1AY&SY`,
    { compression: 'bzip2' },
  ]),
]

/** What a file that passes for text is by its first bytes; nothing where it may be that text. */
export function magicOf(bytes: Buffer): Magic {
  const start = bytes.toString('latin1', 0, 64 * 1024)
  for (const [mark, magic] of MARKS) if (start.startsWith(mark)) return magic
  if (start.startsWith('PK\x03\x04'))
    return start.includes('[Content_Types].xml') ? { format: 'excel' } : { compression: 'zip' }
  return jsonOf(bytes.toString('utf8').trimStart())
}

function jsonOf(text: string): Magic {
  if (/^\[\s*\{\s*"/.test(text)) return { format: 'json' }
  if (!text.startsWith('{')) return {}
  try {
    JSON.parse(text.split('\n', 1)[0]!)
    return { format: 'ndjson' }
  } catch {
    return {}
  }
}
