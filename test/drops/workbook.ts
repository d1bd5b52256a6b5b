import { crc32 } from 'node:zlib'

/** A text, or a number with its format, an error, or a formula without a value. */
export type Cell =
  | string
  | { number: string; format?: string }
  | { error: string }
  | { formula: string; empty?: true }
  | undefined

const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
const RELATIONS = 'http://schemas.openxmlformats.org/package/2006/relationships'
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'

/** A workbook of one sheet, `Data`, which may be hidden, whose rows are numbered from `first`, and `others` of the same cells. */
export function workbookOf(
  rows: Cell[][],
  { date1904 = false, others = [] as string[], hidden = false, merged = [] as string[], first = 1 } = {},
): Buffer {
  const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;')
  const formats = [
    ...new Set(
      rows.flat().flatMap(cell => (typeof cell === 'object' && 'number' in cell ? [cell.format ?? ''] : [])),
    ),
  ]
  const cell = (value: Cell, at: string) => {
    if (value === undefined) return ''
    if (typeof value === 'string') return `<c r="${at}" t="inlineStr"><is><t>${escaped(value)}</t></is></c>`
    if ('error' in value) return `<c r="${at}" t="e"><v>${value.error}</v></c>`
    if ('formula' in value) return `<c r="${at}"><f>${value.formula}</f>${value.empty ? '<v></v>' : ''}</c>`
    return `<c r="${at}" s="${formats.indexOf(value.format ?? '')}"><v>${value.number}</v></c>`
  }
  const body = rows
    .map(
      (row, number) =>
        `<row r="${first + number}">${row.map((value, index) => cell(value, `${String.fromCharCode(65 + index)}${first + number}`)).join('')}</row>`,
    )
    .join('')
  const codes = formats.map((code, index) =>
    code === '' ? '' : `<numFmt numFmtId="${200 + index}" formatCode="${escaped(code)}"/>`,
  )
  const styles = formats.map((code, index) => `<xf numFmtId="${code === '' ? 0 : 200 + index}"/>`)
  const relation = (id: string, type: string, target: string) =>
    `<Relationship Id="${id}" Type="${OFFICE}/${type}" Target="${target}"/>`
  return zipOf({
    '_rels/.rels': `<Relationships xmlns="${RELATIONS}">${relation('rId1', 'officeDocument', 'xl/workbook.xml')}</Relationships>`,
    'xl/workbook.xml': `<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><workbookPr date1904="${date1904 ? 1 : 0}"/><sheets><sheet name="Data" sheetId="1"${hidden ? ' state="hidden"' : ''} r:id="rId1"/>${others.map((name, n) => `<sheet name="${name}" sheetId="${n + 2}" r:id="rId${n + 3}"/>`).join('')}</sheets></workbook>`,
    'xl/_rels/workbook.xml.rels': `<Relationships xmlns="${RELATIONS}">${relation('rId1', 'worksheet', 'worksheets/sheet1.xml')}${relation('rId2', 'styles', 'styles.xml')}${others.map((_, n) => relation(`rId${n + 3}`, 'worksheet', 'worksheets/sheet1.xml')).join('')}</Relationships>`,
    'xl/styles.xml': `<styleSheet xmlns="${MAIN}"><numFmts>${codes.join('')}</numFmts><cellXfs>${styles.join('')}</cellXfs></styleSheet>`,
    'xl/worksheets/sheet1.xml': `<worksheet xmlns="${MAIN}"><sheetData>${body}</sheetData><mergeCells>${merged.map(ref => `<mergeCell ref="${ref}"/>`).join('')}</mergeCells></worksheet>`,
  })
}

/** A zip archive whose files are not compressed. */
export function zipOf(files: Record<string, string>): Buffer {
  const parts: Buffer[] = []
  const entries: Buffer[] = []
  let at = 0
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text)
    const facts = Buffer.alloc(26)
    facts.writeUInt16LE(20, 0)
    facts.writeUInt16LE(0x800, 2)
    facts.writeUInt32LE(crc32(content), 10)
    facts.writeUInt32LE(content.length, 14)
    facts.writeUInt32LE(content.length, 18)
    facts.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), facts, Buffer.from(name), content])
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(at, 10)
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), facts, rest, Buffer.from(name)]))
    parts.push(local)
    at += local.length
  }
  const directory = Buffer.concat(entries)
  const end = Buffer.alloc(18)
  end.writeUInt16LE(entries.length, 4)
  end.writeUInt16LE(entries.length, 6)
  end.writeUInt32LE(directory.length, 8)
  end.writeUInt32LE(at, 12)
  return Buffer.concat([...parts, directory, Buffer.from('PK\x05\x06'), end])
}
