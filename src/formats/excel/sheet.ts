import { BadFile, badFile } from '../bad.ts'
import { zipMembers } from '../zip.ts'
import { numberText } from './number.ts'
import { formatKinds, openWorkbook, sharedStrings } from './workbook.ts'
import { attribute, parseXml, unescaped } from './xml.ts'

/** Bytes that a workbook may have: it is held whole. */
const LARGEST = 64 * 1024 * 1024
/** What is in it, unpacked. */
const UNPACKED = { most: 512 * 1024 * 1024, ratio: 200 }

/** The errors that a formula can come to (ECMA-376, 18.17.3, and those of later versions). */
const ERRORS =
  '#(NULL!|DIV/0!|VALUE!|REF!|NAME\\?|NUM!|N/A|GETTING_DATA|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!|PYTHON!|EXTERNAL!|TIMEOUT!)'

/** SQL of whether a cell's text is an error. */
export const isErrorCell = (text: string) => `regexp_full_match(${text}, '${ERRORS}')`

/**
 * A sheet as CSV, line by line: numbers as the file writes them; days, moments, times and durations by their cell's format;
 * errors by their name (`#DIV/0!`). A cell that is empty is an empty field; a text without a character a quoted one.
 * Where no sheet is asked for, the first one that is not hidden is read. `tell` is given what people should know of it.
 */
export async function* excelCsv(
  where: string,
  bytes: AsyncIterable<Buffer>,
  sheet: string | undefined,
  tell: (note: string) => void,
): AsyncGenerator<Buffer> {
  const parts = await partsOf(where, bytes)
  const part = (name: string) => parts.get(name.replace(/^\//, ''))
  let rows: string[][]
  try {
    const { path, epoch1904, names, others, styles, strings } = openWorkbook(part, sheet)
    if (path === undefined)
      throw badFile(
        where,
        `has no sheet ${JSON.stringify(sheet)}, only ${names.map(name => JSON.stringify(name)).join(', ')}`,
      )
    if (others.length > 0)
      tell(
        `has other sheets, which are not read: ${others.map(name => JSON.stringify(name)).join(', ')}; sheet: names the one to read`,
      )
    const sheetXml = part(path)
    if (!sheetXml) throw new RangeError(`it has no part ${path}`)
    rows = readRows(where, sheetXml, {
      epoch1904,
      kinds: styles === undefined ? [] : formatKinds(styles),
      strings: strings === undefined ? [] : sharedStrings(strings),
      tell,
    })
  } catch (cause) {
    if (cause instanceof BadFile) throw cause
    throw badFile(where, `is not a readable workbook: ${(cause as Error).message}`, cause)
  }
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0)
  for (const row of rows) {
    // Of one column, an empty line would be a row.
    if (row.length === 0 && width === 1) continue
    const fields = row.length === 0 ? [] : Array.from({ length: width }, (_, index) => row[index] ?? '')
    yield Buffer.from(`${fields.join(',')}\n`)
  }
}

async function partsOf(where: string, bytes: AsyncIterable<Buffer>): Promise<Map<string, Buffer>> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > LARGEST) throw badFile(where, `a workbook of over ${LARGEST / 1024 / 1024} MiB is not read`)
    chunks.push(chunk)
  }
  const parts = new Map<string, Buffer>()
  for await (const member of zipMembers(where, Buffer.concat(chunks), UNPACKED, true)) {
    const content: Buffer[] = []
    for await (const chunk of member.bytes()) content.push(chunk)
    parts.set(member.name, Buffer.concat(content))
  }
  return parts
}

interface Facts {
  epoch1904: boolean
  kinds: ReturnType<typeof formatKinds>
  strings: string[]
  tell(note: string): void
}

function readRows(where: string, xml: Buffer, { epoch1904, kinds, strings, tell }: Facts): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let reference = ''
  let column = -1
  let type = ''
  let style = 0
  let value: string | undefined
  let formula = false
  let phonetic = 0
  let text: string | undefined
  const merged: string[] = []
  parseXml(xml, {
    open(name, attributes) {
      switch (name) {
        case 'row': {
          const number = rowOf(attribute(attributes, 'r') ?? `${rows.length + 1}`)
          while (rows.length < number - 1) rows.push([])
          row = []
          column = -1
          return
        }
        case 'c': {
          reference = attribute(attributes, 'r') ?? ''
          column = reference === '' ? column + 1 : columnOf(reference)
          type = attribute(attributes, 't') ?? 'n'
          style = Number(attribute(attributes, 's') ?? 0)
          value = undefined
          formula = false
          return
        }
        case 'f':
          formula = true
          return
        case 'rPh':
          phonetic++
          return
        case 'mergeCell':
          merged.push(attribute(attributes, 'ref') ?? '')
          return
        case 'v':
        case 't':
          text = ''
      }
    },
    text(part) {
      if (text !== undefined) text += part
    },
    close(name) {
      if (name === 'rPh') phonetic--
      else if (name === 'v' || name === 't') {
        if (phonetic === 0) value = (name === 't' ? (value ?? '') : '') + (text ?? '')
        text = undefined
      } else if (name === 'c') {
        // A formula that came to an empty text says so by its type.
        if (formula && (value === undefined || (value.trim() === '' && type === 'n')))
          throw badFile(
            where,
            `cell ${reference || column + 1} is a formula whose value the file does not hold`,
            undefined,
            'DECODE_FAILED',
            'Open the workbook in a spreadsheet program and save it: that stores the values.',
          )
        const field = fieldOf()
        if (field !== '') {
          while (row.length < column) row.push('')
          row[column] = field
        }
      } else if (name === 'row') rows.push(row)
    },
  })
  if (merged.length > 0)
    tell(
      `has merged cells (${merged.slice(0, 3).join(', ')}${merged.length > 3 ? ', …' : ''}): all but the first of each are empty`,
    )
  return rows

  function fieldOf(): string {
    if (value === undefined) return ''
    const field = textOf(value)
    if (!field.isWellFormed())
      throw badFile(
        where,
        `cell ${reference || column + 1} has half a surrogate pair, which is no character: ${JSON.stringify(field.slice(1, -1).slice(0, 80))}`,
        undefined,
        'DECODE_FAILED',
        'Correct the text of this cell in the workbook, or delete it.',
      )
    return field
  }

  function textOf(value: string): string {
    switch (type) {
      case 's':
        return quoted(strings[Number(value)] ?? missing(value))
      case 'inlineStr':
      case 'str':
        return quoted(unescaped(value))
      case 'b':
        return value.trim() === '1' ? 'true' : 'false'
      case 'e':
      case 'd':
        return quoted(value)
      default:
        return value.trim() === ''
          ? ''
          : quoted(numberText(value.trim(), kinds[style] ?? 'number', epoch1904))
    }
  }
}

function missing(index: string): never {
  throw new RangeError(`it has no text ${index}`)
}

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`

/** The number of a row, from 1, as it is written. */
function rowOf(written: string): number {
  const row = Number(written)
  if (!Number.isInteger(row) || row < 1 || row > 1_048_576) throw new RangeError(`it has a row ${written}`)
  return row
}

/** The number of a column, from 0: of `AB12`, 27. */
function columnOf(reference: string): number {
  let column = 0
  for (const letter of /^[A-Z]+/i.exec(reference)?.[0].toUpperCase() ?? '')
    column = column * 26 + letter.charCodeAt(0) - 64
  if (column < 1 || column > 16_384) throw new RangeError(`it has a cell ${reference}`)
  return column - 1
}
