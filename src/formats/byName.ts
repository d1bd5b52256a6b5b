import { ownValue } from '../../engine/ownValue.ts'
import { type Compression, compressionOf } from './compression.ts'

export const FORMATS = ['csv', 'tsv', 'json', 'ndjson', 'parquet', 'arrow', 'fixed', 'excel'] as const
export type Format = (typeof FORMATS)[number]

const ENDINGS: Record<string, Format> = {
  csv: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  json: 'json',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  parquet: 'parquet',
  pq: 'parquet',
  arrow: 'arrow',
  arrows: 'arrow',
  feather: 'arrow',
  ipc: 'arrow',
  xlsx: 'excel',
}

/** What parts the fields of a format where the job does not say; CSV's where it names no format either. */
export const usualDelimiter = (format?: Format): string => (format === 'tsv' ? '\t' : ',')

/** A file's format by its name, less the ending of a compression; CSV where that tells none. */
export const formatByName = (name: string): Format => ownValue(ENDINGS, endingOf(name)) ?? 'csv'

/** Whether a file is one of data by its name: its ending is that of a format, or of any text or archive. */
export const isFormatNamed = (name: string): boolean =>
  ownValue(ENDINGS, endingOf(name)) !== undefined || endingOf(name) === 'txt' || compressionOf(name) === 'zip'

function endingOf(name: string): string {
  const packed: Compression = compressionOf(name)
  const bare = packed === 'none' ? name : name.slice(0, name.lastIndexOf('.'))
  return /\.(\w+)$/.exec(bare)?.[1]?.toLowerCase() ?? ''
}
