import type { TypeRule } from '../declare/define.ts'

/** What a JSON value may be for each declared type; `decode.ts` follows it. */
export const TYPES: TypeRule[] = [
  { native: 'true, false', logical: 'BOOLEAN' },
  {
    native: 'number, or string of digits',
    logical: 'BIGINT',
    inexact: 'fractions, and values beyond its range',
    note: 'so for every integer type; digits are taken as written, never through a double',
  },
  {
    native: 'number, or string of digits',
    logical: 'DECIMAL(p,s)',
    inexact: 'more digits than p and s allow',
    note: 'trailing zeros beyond s are dropped',
  },
  { native: 'number, or string of digits', logical: 'DOUBLE', note: 'the nearest double; also FLOAT' },
  { native: 'string', logical: 'VARCHAR', note: 'any other value: its JSON text, digits as written' },
  { native: 'any value', logical: 'JSON', note: 'its JSON text exactly as received, staged as VARCHAR' },
  { native: 'string 2026-01-31', logical: 'DATE', inexact: 'days that no calendar has' },
  { native: 'string 23:55:00.123456', logical: 'TIME', inexact: 'digits after the microsecond' },
  {
    native: 'string 2026-01-31T23:55:00.123456',
    logical: 'TIMESTAMP',
    inexact: 'digits after the microsecond; a text with an offset',
  },
  {
    native: 'string 2026-01-31T23:55:00.123456+01:00',
    logical: 'TIMESTAMP WITH TIME ZONE',
    inexact: 'digits after the microsecond; a text without an offset',
  },
]
