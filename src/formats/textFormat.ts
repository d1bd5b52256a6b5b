import type { FieldStyle } from './field.ts'
import type { Layout } from './layout.ts'
import type { RowSink } from './split.ts'

/** How a file's text is written: the keys of an extract that say so. */
export interface TextFormat {
  format: 'csv' | 'tsv' | 'json' | 'ndjson' | 'fixed' | 'excel'
  encoding: string
  delimiter?: string
  quote: string
  escape?: string
  header: boolean
  skip: number
  widths?: Record<string, number>
  sheet?: string
  null_values: string[]
  max_row: number
  decimal: '.' | ','
  date_format?: string
  timestamp_format?: string
}

/** The columns that are read of a file. */
export interface ReadColumns {
  names: string[]
  /** Those that a file may lack: its rows then have NULL. */
  optional: string[]
}

/** A text file about to be read: how its rows will stand in a spool, and what reads them. */
export interface TextFile {
  layout: Layout
  /** Names of its columns; undefined where only its rows tell. */
  names: string[] | undefined
  read(sink: RowSink): Promise<void>
  /** What its rows turned out to have: asked once they are read. */
  found(): Found
}

export interface Found {
  /** Names of columns or keys in the order they came. */
  names: string[]
  /** The line of the first record with an empty key. */
  emptyAt?: number
  /** Whether there are more different keys than columns can be: the names are not all of them. */
  tooMany?: boolean
  /** What people should know of it. */
  notes: string[]
}

export function styleOf({ decimal, date_format, timestamp_format }: TextFormat): FieldStyle {
  return { decimal, date: date_format, timestamp: timestamp_format }
}
