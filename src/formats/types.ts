import type { TypeRule } from '../connectors/declare/define.ts'

/** What a CSV field may be for each declared type; `field.ts` follows it. An empty unquoted field is NULL. */
export const FILE_TYPES: TypeRule[] = [
  { native: 'true, false, 1, 0', logical: 'BOOLEAN' },
  {
    native: 'digits',
    logical: 'BIGINT',
    inexact: 'fractions, and values beyond its range',
    note: 'so for every integer type',
  },
  { native: 'digits', logical: 'DECIMAL(p,s)', inexact: 'more digits than p and s allow' },
  { native: 'digits', logical: 'DOUBLE', note: 'the nearest double; also FLOAT' },
  {
    native: 'any text',
    logical: 'VARCHAR',
    note: 'quoted and empty: the empty string; JSON is staged as its text',
  },
  { native: '2026-01-31', logical: 'DATE', inexact: 'days that no calendar has' },
  { native: '23:55:00.123456', logical: 'TIME', inexact: 'digits after the microsecond' },
  {
    native: '2026-01-31 23:55:00.123456',
    logical: 'TIMESTAMP',
    inexact: 'digits after the microsecond; a text with an offset',
  },
  {
    native: '2026-01-31 23:55:00.123456+01:00',
    logical: 'TIMESTAMP WITH TIME ZONE',
    inexact: 'digits after the microsecond; a text without an offset',
  },
  { native: "DuckDB's notation: \\xAB", logical: 'BLOB' },
  {
    native: 'Parquet, Arrow: bytes',
    logical: 'BLOB',
    note: 'in a column of text the text that they are in UTF-8; other bytes are no value of it',
  },
  {
    native: 'Parquet, Arrow: numbers',
    logical: 'DOUBLE',
    inexact: 'integers and decimals that it does not hold exactly',
    note: 'where the column is of floats; also FLOAT, which takes the nearest float of a DOUBLE where it is declared',
  },
  {
    native: 'Parquet, Arrow: moments of nanoseconds, INT96',
    logical: 'TIMESTAMP',
    inexact: 'digits after the microsecond; INT96 beyond the year 292278',
    note: 'where all values of the first night fit; text with nine digits otherwise; with a zone TIMESTAMP WITH TIME ZONE',
  },
  {
    native: 'Parquet, Arrow: durations',
    logical: 'VARCHAR',
    note: 'hours, minutes and seconds: 36:00:00.5; days, times and moments that Arrow counts in other units than Parquet are what they are',
  },
  {
    native: 'Parquet, Arrow: decimals of over 38 digits, lists, structs, maps',
    logical: 'VARCHAR',
    note: 'their text, or JSON',
  },
]
