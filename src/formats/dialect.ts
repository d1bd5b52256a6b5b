import { isUtf8 } from 'node:buffer'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { afterLines, decoderName } from './blocks.ts'
import { type Format, usualDelimiter } from './byName.ts'
import { csvFields, csvScan, type RowShape } from './csv.ts'
import type { TextFormat } from './textFormat.ts'

/** How a file begins. */
export interface FileHead {
  name: string
  format: Format
  /** Unpacked. */
  bytes: Buffer
  /** Whether that is all of it. */
  isWhole: boolean
}

/** How a CSV file is written, as far as its beginning tells. */
export interface FoundDialect {
  delimiter: string
  /** Its columns, where a line names them, and all rows that are whole. */
  names: string[] | undefined
  rows: string[][]
}

/** Of keys of an extract, what the question is about, and what answers it: `header=true`. */
export type Answer = (...answers: string[]) => string

const DELIMITERS = [',', ';', '\t', '|']

/** The encoding of a text: UTF-16 by its mark or its zeros, else UTF-8. Fails with CONFIG_INVALID where it is neither. */
export function findEncoding({ name, bytes, isWhole }: FileHead, answer: Answer): string {
  if (/^(\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2))) return 'utf-16'
  const zeros = [0, 0]
  for (const [at, byte] of bytes.entries()) if (byte === 0) zeros[at % 2]!++
  if (zeros[0] === 0 && zeros[1]! * 4 > bytes.length) return 'utf-16le'
  if (zeros[1] === 0 && zeros[0]! * 4 > bytes.length) return 'utf-16be'
  const end = isWhole ? bytes.length : bytes.lastIndexOf(10) + 1
  if (isUtf8(bytes.subarray(0, end))) return 'utf-8'
  const lines = bytes.toString('latin1', 0, end).split('\n')
  const line = lines.findIndex(text => !isUtf8(Buffer.from(text, 'latin1')))
  throw new EngineError('CONFIG_INVALID', `${name}: line ${line + 1} is not UTF-8`, {
    hint: `Say how it is written: ${answer('encoding=windows-1252')} (Western Europe), windows-1250 (Central Europe), windows-1251 (Cyrillic)… With ${answer('encoding=utf-8')} such rows go to the quarantine.`,
  })
}

/**
 * The delimiter of a CSV file, by which its header has several columns and most rows as many; the format's own where there is
 * none. Fails with CONFIG_INVALID where more than one may be meant, and where the first line looks like a row.
 */
export function findDialect(
  { name, bytes, isWhole }: FileHead,
  format: TextFormat,
  encoding: string,
  given: { delimiter: boolean; header: boolean; names: boolean },
  answer: Answer,
): FoundDialect {
  const text = afterLines(utf8(bytes, encoding), format.skip)
  const usual = format.delimiter ?? usualDelimiter(format.format)
  const split = (delimiter: string) => rowsOf(text, isWhole, { ...format, delimiter })
  const likely = given.delimiter
    ? []
    : DELIMITERS.map(delimiter => ({ delimiter, ...split(delimiter) })).filter(
        ({ rows: [first, ...others], bad }) => first && first.length > 1 && others.length >= bad,
      )
  const clean = likely.filter(({ bad }) => bad === 0)
  const best = clean.length > 0 ? clean : likely
  if (best.length > 1)
    throw new EngineError(
      'CONFIG_INVALID',
      `${name}: its delimiter may be ${best.map(({ delimiter }) => JSON.stringify(delimiter)).join(' or ')}`,
      { hint: `Say which: ${best.map(({ delimiter }) => answer(`delimiter=${delimiter}`)).join(' or ')}.` },
    )
  const delimiter = best[0]?.delimiter ?? usual
  const [first = [], ...others] = (best[0] ?? split(usual)).rows
  if (!format.header) {
    if (!given.names && first.length > 0)
      throw new EngineError('CONFIG_INVALID', `${name}: without a header, its columns have no names`, {
        hint: `Name its ${first.length}: ${answer(schemaFor(first))}.`,
      })
    return { delimiter, names: undefined, rows: first.length > 0 ? [first, ...others] : [] }
  }
  if (!given.header && looksLikeRow(first, others))
    throw new EngineError('CONFIG_INVALID', `${name}: its first line looks like a row, not like a header`, {
      hint: `Name its ${counted(first.length, 'column')}: ${answer('header=false', schemaFor(first))}. If it is the header: ${answer('header=true')}.`,
    })
  return { delimiter, names: first, rows: others }
}

const schemaFor = (fields: string[]) =>
  `schema={${fields.map((_, index) => `column_${index + 1}: VARCHAR`).join(', ')}}`

function utf8(bytes: Buffer, encoding: string): Buffer {
  const decoder = new TextDecoder(decoderName(encoding, bytes))
  return Buffer.from(decoder.decode(bytes, { stream: true }))
}

/** The rows of a text; after the first, those that have as many fields. */
function rowsOf(text: Buffer, isWhole: boolean, format: TextFormat & { delimiter: string }) {
  const { delimiter, quote, header } = format
  const dialect = { delimiter, quote, escape: format.escape ?? '' }
  const shape: RowShape = { fields: 0, header }
  const rows: string[][] = []
  let bad = 0
  const sink = {
    row: (source: Buffer, from: number, to: number) => {
      rows.push(csvFields(source.toString('utf8', from, to), dialect))
      if (rows.length > 1) return
      shape.fields = rows[0]!.length
      shape.header = false
    },
    // Without its first row, nothing is known of the others.
    bad: () => {
      bad += rows.length > 0 ? 1 : Number.POSITIVE_INFINITY
    },
    reserve: async () => {},
  }
  csvScan(dialect, sink, shape)(text, 1, isWhole)
  return { rows: Number.isFinite(bad) ? rows : [], bad }
}

/** Whether each column of numbers or days has one in the first line, too, and there is such a column. */
function looksLikeRow(first: string[], others: string[][]): boolean {
  const typed = first.filter((value, index) => {
    const values = others.map(row => row[index] ?? '').filter(other => other !== '')
    return values.length > 0 ? values.every(isTyped) : isTyped(value)
  })
  return typed.length > 0 && typed.every(isTyped)
}

const isTyped = (value: string) =>
  /^[-+]?\d+([.,]\d+)*$/.test(value) || /^\d{4}-\d\d-\d\d([T ].*)?$/.test(value)
