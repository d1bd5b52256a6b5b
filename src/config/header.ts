import { didYouMean } from '../../engine/nearest.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import type { Buckets, TableKey } from '../../engine/sql/model.ts'
import { nameIn, placeOf } from '../../engine/sql/text.ts'
import type { Model, ModelHeader } from '../spec/job.ts'
import { FUNCTION_FILE } from './schema.ts'

const TAGS = ['owner', 'tags', 'column', 'materialised', 'buckets', 'enrich']
const KINDS = ['view', 'table', 'incremental'] as const

/**
 * What the comments before a model's query say of it: text, and lines `@owner NAME`, `@tags a, b`, `@column NAME TEXT`,
 * `@materialised view`, `table` or `incremental by TABLE.COLUMN, …`, `@buckets NUMBER by TABLE.COLUMN, …`,
 * `@enrich enrich/FILE.ts`. `faults` are those that change what is made; of others is warned.
 */
export function readHeader(
  file: string,
  sql: string,
): Pick<Model, 'header' | 'materialised' | 'buckets' | 'function' | 'partial'> & { faults: Fault[] } {
  const header: ModelHeader = { columns: [], tags: [], warnings: [] }
  const faults: Fault[] = []
  let materialised: Model['materialised']
  let buckets: Model['buckets']
  let enrich: Model['function']
  let partial = false
  const text: string[] = []
  for (const { 0: line, index } of sql.matchAll(/[^\r\n]+/g)) {
    const start = index + line.indexOf('--')
    const comment = /^\s*--+ ?(.*)$/s.exec(line)?.[1]?.trimEnd()
    if (comment === undefined) {
      if (line.trim() === '') continue
      break
    }
    const tag = /^@(\w+)\s*(.*)$/s.exec(comment)
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
      const [, column, about] = /^("(?:[^"]|"")+"|\S+?):?(?:\s+(.*))?$/s.exec(value)!
      const own = nameIn(column!)
      header.columns.push({ name: own, text: about ?? '', place: placeOf(sql, start) })
    } else if (name === 'enrich') {
      if (enrich)
        faults.push(fault('@enrich stands there twice', 'Read one model from another: each has one.'))
      else if (FUNCTION_FILE.test(value)) enrich = { file: value, place: placeOf(sql, start) }
      else {
        partial = true
        faults.push(
          fault(`@enrich ${value} is no file of TypeScript in enrich/`, 'Write -- @enrich enrich/geo.ts'),
        )
      }
    } else if (name === 'buckets') {
      const found = bucketsOf(value)
      if (typeof found === 'string')
        faults.push(
          fault(`@buckets ${value}: ${found}`, 'Write -- @buckets 8 by members.id, payments.member_id'),
        )
      else buckets = { ...found, place: placeOf(sql, start) }
    } else {
      const [, word = '', list] = /^(\S+)(?:\s+by\s+(.+))?$/i.exec(value) ?? []
      const kind = KINDS.find(each => each === word.toLowerCase())
      const keys = kind !== 'incremental' ? [] : list === undefined ? 'it says no key' : keysOf(list)
      if (!kind || (kind !== 'incremental' && list !== undefined))
        faults.push(
          fault(
            `@materialised ${value} is neither view, table nor incremental${didYouMean(word, [...KINDS])}`,
            'Write -- @materialised view, or table, or incremental by orders.customer_id',
          ),
        )
      else if (typeof keys === 'string')
        faults.push(
          fault(
            `@materialised ${value}: ${keys}`,
            'Say by which column of which table: -- @materialised incremental by orders.customer_id',
          ),
        )
      else materialised = { kind, ...(keys.length > 0 && { keys }), place: placeOf(sql, start) }
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
    ...(buckets && { buckets }),
    ...(enrich && { function: enrich }),
    ...(partial && { partial }),
    faults,
  }
}

const MAX_BUCKETS = 1000
const NAME = String.raw`("(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)`
const KEY = new RegExp(String.raw`^${NAME}\.${NAME}$`, 'u')

/** How a model's rows are divided; or what is wrong with what was written. */
function bucketsOf(value: string): Pick<Buckets, 'count' | 'keys'> | string {
  const [, number, list] = /^(\d+)\s+by\s+(.+)$/i.exec(value) ?? []
  if (number === undefined) return 'is not a number, by, and a column of each table that is divided'
  const count = Number(number)
  if (count < 2 || count > MAX_BUCKETS) return `there are 2 to ${MAX_BUCKETS} buckets`
  const keys = keysOf(list!)
  return typeof keys === 'string' ? keys : { count, keys }
}

/** Columns by which rows are divided: `members.id, payments.member_id`; or what is wrong with what was written. */
function keysOf(list: string): TableKey[] | string {
  const keys: TableKey[] = []
  for (const each of list.split(',').map(text => text.trim())) {
    const [, table, column] = KEY.exec(each) ?? []
    if (table === undefined) return `${each || 'nothing'} is not TABLE.COLUMN`
    if (keys.some(key => key.table.toLowerCase() === nameIn(table).toLowerCase()))
      return `${table} is there twice`
    keys.push({ table: nameIn(table), column: nameIn(column!) })
  }
  return keys
}
