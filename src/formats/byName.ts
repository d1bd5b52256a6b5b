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
export function formatByName(name: string): Format {
  const ending = (text: string) => /\.(\w+)$/.exec(text)?.[1]?.toLowerCase() ?? ''
  const packed: Compression = compressionOf(name)
  return ENDINGS[ending(packed === 'none' ? name : name.slice(0, name.lastIndexOf('.')))] ?? 'csv'
}
