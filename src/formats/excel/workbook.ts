import { posix } from 'node:path'
import { kindOfCode, kindOfId, type NumberKind } from './number.ts'
import { attribute, parseXml, unescaped } from './xml.ts'

/** A part of the package by its name. */
type Part = (name: string) => Buffer | undefined

/** The way to a sheet (the first that is not hidden, or by its name), and what its cells need. `path` is undefined where there is none. */
export function openWorkbook(part: Part, sheet: string | undefined) {
  const book = relations(part, '').find(({ type }) => type === 'officeDocument')?.target ?? 'xl/workbook.xml'
  const xml = part(book)
  if (!xml) throw new RangeError(`it has no part ${book}`)
  const sheets: { name: string; id: string; hidden: boolean }[] = []
  let epoch1904 = false
  parseXml(xml, {
    open(name, attributes) {
      if (name === 'sheet') {
        const relation = Object.entries(attributes).find(([key]) => key.endsWith(':id'))?.[1] ?? ''
        const hidden = /hidden/i.test(attribute(attributes, 'state') ?? '')
        sheets.push({ name: attributes.name ?? '', id: relation, hidden })
      } else if (name === 'workbookPr')
        epoch1904 = ['1', 'true'].includes(attribute(attributes, 'date1904') ?? '')
    },
  })
  const related = relations(part, book)
  const worksheets = sheets.flatMap(({ name, id, hidden }) =>
    related.flatMap(relation =>
      relation.id === id && relation.type === 'worksheet' ? [{ name, path: relation.target, hidden }] : [],
    ),
  )
  // People see no hidden ones.
  const first = worksheets.find(({ hidden }) => !hidden) ?? worksheets[0]
  const found = sheet === undefined ? first : worksheets.find(({ name }) => name === sheet)
  const other = (type: string) => {
    const target = related.find(relation => relation.type === type)?.target
    return target === undefined ? undefined : part(target)
  }
  return {
    path: found?.path,
    names: worksheets.map(({ name }) => name),
    /** Where no sheet is asked for: others than the first that people see that hold a value. */
    others:
      sheet === undefined
        ? worksheets.filter(other => other !== found && hasValues(part(other.path))).map(({ name }) => name)
        : [],
    epoch1904,
    styles: other('styles'),
    strings: other('sharedStrings'),
  }
}

const hasValues = (xml: Buffer | undefined) =>
  xml !== undefined && /<(\w+:)?(v|t)[ >]/.test(xml.toString('latin1'))

function relations(part: Part, of: string): { id: string; type: string; target: string }[] {
  const { dir, base } = posix.parse(of)
  const xml = part(posix.join(dir, '_rels', `${base}.rels`))
  const found: { id: string; type: string; target: string }[] = []
  if (xml)
    parseXml(xml, {
      open(name, { Id = '', Type = '', Target = '' }) {
        if (name === 'Relationship')
          found.push({ id: Id, type: Type.slice(Type.lastIndexOf('/') + 1), target: resolved(dir, Target) })
      },
    })
  return found
}

const resolved = (dir: string, target: string) =>
  target.startsWith('/') ? target.slice(1) : posix.join(dir, target)

/** What numbers of each cell style are. */
export function formatKinds(xml: Buffer): NumberKind[] {
  const codes = new Map<number, string>()
  const kinds: NumberKind[] = []
  let within = false
  parseXml(xml, {
    open(name, attributes) {
      if (name === 'numFmt')
        codes.set(Number(attribute(attributes, 'numFmtId')), attribute(attributes, 'formatCode') ?? '')
      else if (name === 'cellXfs') within = true
      else if (name === 'xf' && within) {
        const id = Number(attribute(attributes, 'numFmtId') ?? 0)
        const code = codes.get(id)
        kinds.push(code === undefined ? kindOfId(id) : kindOfCode(code))
      }
    },
    close(name) {
      if (name === 'cellXfs') within = false
    },
  })
  return kinds
}

/** The texts that cells share, pieces of rich text joined, without their phonetic notes. */
export function sharedStrings(xml: Buffer): string[] {
  const strings: string[] = []
  let item = ''
  let phonetic = 0
  let text = false
  parseXml(xml, {
    open(name) {
      if (name === 'si') item = ''
      else if (name === 'rPh') phonetic++
      else if (name === 't') text = true
    },
    text(part) {
      if (text && phonetic === 0) item += part
    },
    close(name) {
      if (name === 'si') strings.push(unescaped(item))
      else if (name === 'rPh') phonetic--
      else if (name === 't') text = false
    },
  })
  return strings
}
