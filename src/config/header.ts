import { didYouMean } from '../../engine/nearest.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { placeOf } from '../../engine/sql/text.ts'
import type { Model, ModelHeader } from '../spec/job.ts'

const TAGS = ['owner', 'tags', 'column', 'materialised']
const KINDS = ['view', 'table'] as const

/**
 * What the comments before a model's query say of it: text, and lines `@owner NAME`, `@tags a, b`, `@column NAME TEXT`,
 * `@materialised view` or `table`. `faults` are those that change what is made; of others is warned.
 */
export function readHeader(
  file: string,
  sql: string,
): Pick<Model, 'header' | 'materialised'> & { faults: Fault[] } {
  const header: ModelHeader = { columns: [], tags: [], warnings: [] }
  const faults: Fault[] = []
  let materialised: Model['materialised']
  const text: string[] = []
  let at = 0
  for (const line of sql.split('\n')) {
    const start = at + line.indexOf('--')
    at += line.length + 1
    const comment = /^\s*--+ ?(.*)$/.exec(line)?.[1]?.trimEnd()
    if (comment === undefined) {
      if (line.trim() === '') continue
      break
    }
    const tag = /^@(\w+)\s*(.*)$/.exec(comment)
    if (!tag) {
      text.push(comment)
      continue
    }
    const [, written, value] = tag as unknown as [string, string, string]
    const name = written.toLowerCase()
    const fault = (message: string, hint: string): Fault => ({
      file,
      place: placeOf(sql, start),
      message,
      hint,
    })
    if (!TAGS.includes(name))
      header.warnings.push(
        fault(`@${written} means nothing here${didYouMean(name, TAGS)}`, `There are: @${TAGS.join(', @')}.`),
      )
    else if (value === '')
      header.warnings.push(fault(`@${written} says nothing`, `Write it behind: -- @${written} …`))
    else if (name === 'owner') header.owner = value
    else if (name === 'tags')
      header.tags.push(
        ...value
          .split(',')
          .map(each => each.trim())
          .filter(Boolean),
      )
    else if (name === 'column') {
      const [, column, about] = /^("(?:[^"]|"")+"|\S+?):?(?:\s+(.*))?$/.exec(value)!
      const own = column!.startsWith('"') ? column!.slice(1, -1).replaceAll('""', '"') : column!
      header.columns.push({ name: own, text: about ?? '', place: placeOf(sql, start) })
    } else {
      const kind = KINDS.find(each => each === value.toLowerCase())
      if (kind) materialised = { kind, place: placeOf(sql, start) }
      else
        faults.push(
          fault(
            `@materialised ${value} is neither view nor table${didYouMean(value, [...KINDS])}`,
            'Write -- @materialised view, or table.',
          ),
        )
    }
  }
  // Lines of a paragraph are one.
  const description = text
    .join('\n')
    .split(/\n\s*\n/)
    .map(paragraph => paragraph.trim().replaceAll(/\s*\n\s*/g, ' '))
    .filter(Boolean)
    .join('\n\n')
  const { columns, tags, warnings, owner } = header
  const isEmpty = !description && !owner && [columns, tags, warnings].every(each => each.length === 0)
  return {
    ...(!isEmpty && { header: { ...header, ...(description && { description }) } }),
    ...(materialised && { materialised }),
    faults,
  }
}
