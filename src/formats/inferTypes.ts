import type { Duck } from '../../engine/sql/duckdb.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import { type FieldStyle, fieldSql, MOMENT_SHAPE, OWN, PLAIN } from './field.ts'

/** What a column is found to be: a DuckDB type, and how its values are written; text has no notation. */
export interface FoundType {
  type: string
  notation?: string
}

/** Tried in this order; the first that writes every value as it was read is the column's type, text where none does. */
const CANDIDATES: [string, string][] = [
  ['BIGINT', OWN],
  ['DOUBLE', OWN],
  ['DOUBLE', PLAIN],
  ['DATE', OWN],
  ['TIME', OWN],
  ['TIMESTAMP', OWN],
  ['TIMESTAMPTZ', OWN],
  ['BOOLEAN', OWN],
]
const MOMENTS = ['TIMESTAMP', 'TIMESTAMPTZ']
/** Money: the same number of digits after the point in every value. One digit is how doubles are written, too. */
const FIXED_POINT = String.raw`-?(0|[1-9]\d*)\.\d+`
/** Digits, sign and point of a decimal that surely fits. */
const LONGEST = 38

/** Columns of one query: planning costs more than in proportion to its expressions. */
const ASKED_TOGETHER = 64
/** Rows that are looked at first. */
const FIRST_ROWS = 2048

/** Which types can still hold a column's values, after all that were seen. */
interface Evidence {
  values: number
  open: boolean[]
  moments: boolean[]
  shape?: string
  decimal: boolean
  scale?: number
}

/** Finds the types of columns of text by all of their values, some rows at a time. */
export class TypeFinder {
  private readonly style: FieldStyle
  private readonly found = new Map<string, Evidence>()

  constructor(style: FieldStyle) {
    this.style = style
  }

  /** The columns seen so far, in the order they came. */
  get names(): string[] {
    return [...this.found.keys()]
  }

  /** Notes columns, with values or without. */
  see(names: string[]): void {
    for (const name of names) if (!this.found.has(name)) this.found.set(name, unseen())
  }

  /** Looks at the values of some rows: `text` gives the SQL of a column's text in `from`. */
  async add(
    duck: Duck,
    from: string,
    names: string[],
    text: (name: string) => string,
    emptyIsText: boolean,
  ): Promise<void> {
    this.see(names)
    const field = (name: string) => (emptyIsText ? text(name) : `nullif(${text(name)}, '')`)
    const open = () => names.filter(name => isOpen(this.found.get(name)!))
    if (await this.begin(duck, from, open(), field)) return
    const asked = open()
    for (let start = 0; start < asked.length; start += ASKED_TOGETHER)
      await this.ask(duck, from, asked.slice(start, start + ASKED_TOGETHER), field)
  }

  /**
   * Looks at the first rows: there, most types are found not to be a column's. All columns are asked by the same
   * expressions, which cost more to plan than the rows to read. Whether there are no other rows.
   */
  private async begin(
    duck: Duck,
    from: string,
    asked: string[],
    field: (name: string) => string,
  ): Promise<boolean> {
    if (asked.length === 0) return true
    const sums = [...this.sums(unseen(), 'v', '0'), 'count(*) AS seen']
    const rows = await duck.rows(`SELECT i, ${sums.join(', ')}
      FROM (SELECT unnest(range(${asked.length})) AS i, unnest([${asked.map(name => `(${field(name)})::VARCHAR`).join(', ')}]) AS v
        FROM (FROM ${from} LIMIT ${FIRST_ROWS}))
      GROUP BY i`)
    for (const row of rows) conclude(this.found.get(asked[Number(row.i)]!)!, what => row[`${what}_0`])
    return rows.length === 0 || Number(rows[0]!.seen) < FIRST_ROWS
  }

  private async ask(
    duck: Duck,
    from: string,
    asked: string[],
    field: (name: string) => string,
  ): Promise<void> {
    const sums = asked.flatMap((name, index) => this.sums(this.found.get(name)!, `v${index}`, `${index}`))
    const fields = asked.map((name, index) => `${field(name)} AS v${index}`)
    const [row] = await duck.rows(`SELECT ${sums.join(', ')} FROM (SELECT ${fields.join(', ')} FROM ${from})`)
    for (const [index, name] of asked.entries())
      conclude(this.found.get(name)!, what => row![`${what}_${index}`])
  }

  /** Each column's type. One without a value is text. */
  types(): Record<string, FoundType> {
    return Object.fromEntries([...this.found].map(([name, evidence]) => [name, typeOf(evidence)]))
  }

  private sums(evidence: Evidence, v: string, suffix: string): string[] {
    const sum = (sql: string, what: string) => `${sql} AS ${what}_${suffix}`
    const all = (condition: string, what: string) => sum(`coalesce(bool_and(${condition}), true)`, what)
    const holds = (type: string, notation?: string) =>
      `NOT ${fieldSql(v, declaredType(type)!, this.style, notation).bad} AND ${v} <> ''`
    const sums = [sum(`count(${v})`, 'values')]
    for (const [index, [type, notation]] of CANDIDATES.entries())
      if (evidence.open[index]) {
        const digits = type === 'DOUBLE' ? ` AND regexp_matches(${v}, '\\d')` : ''
        sums.push(all(holds(type, notation) + digits, `t${index}`))
      }
    for (const [index, type] of MOMENTS.entries())
      if (evidence.moments[index]) {
        const utc = type === 'TIMESTAMPTZ' ? ` AND regexp_matches(${v}, '(Z|\\+00(:?00)?)$')` : ''
        sums.push(all(`${holds(type)}${utc}`, `m${index}`))
      }
    const shape = `regexp_replace(left(${v}, 40), '\\d', '0', 'g')`
    if (evidence.moments.includes(true))
      sums.push(sum(`min(${shape})`, 'least'), sum(`max(${shape})`, 'most'))
    if (evidence.decimal) {
      const point = this.style.decimal === ',' ? ',' : '.'
      const number = point === '.' ? v : `translate(${v}, ',.', '.,')`
      const scale = `length(${v}) - strpos(${v}, '${point}')`
      sums.push(
        all(
          `regexp_full_match(${number}, '${FIXED_POINT}') AND NOT regexp_full_match(${number}, '-[0.]+') AND length(${v}) <= ${LONGEST}`,
          'decimal',
        ),
        sum(`min(${scale})`, 'small'),
        sum(`max(${scale})`, 'large'),
      )
    }
    return sums
  }
}

const unseen = (): Evidence => ({
  values: 0,
  open: CANDIDATES.map(() => true),
  moments: MOMENTS.map(() => true),
  decimal: true,
})

const isOpen = ({ open, moments, decimal }: Evidence) =>
  decimal || open.includes(true) || moments.includes(true)

function conclude(evidence: Evidence, told: (what: string) => unknown): void {
  const values = Number(told('values'))
  if (values === 0) return
  evidence.values += values
  evidence.open = evidence.open.map((open, index) => open && told(`t${index}`) === true)
  if (evidence.moments.includes(true)) {
    evidence.shape ??= String(told('least'))
    const same = told('least') === evidence.shape && told('most') === evidence.shape
    const known = same && MOMENT_SHAPE.test(evidence.shape)
    evidence.moments = evidence.moments.map((open, index) => open && known && told(`m${index}`) === true)
  }
  if (evidence.decimal) {
    evidence.scale ??= Number(told('small'))
    const same = Number(told('small')) === evidence.scale && Number(told('large')) === evidence.scale
    evidence.decimal = same && told('decimal') === true
  }
}

function typeOf({ values, open, moments, shape, decimal, scale }: Evidence): FoundType {
  if (values === 0) return { type: 'VARCHAR' }
  const money = { type: `DECIMAL(38,${scale})`, notation: OWN }
  if (decimal && scale! > 1) return money
  const index = open.indexOf(true)
  if (index >= 0) return { type: CANDIDATES[index]![0], notation: CANDIDATES[index]![1] }
  if (decimal) return money
  const moment = moments.indexOf(true)
  return moment >= 0 ? { type: MOMENTS[moment]!, notation: shape! } : { type: 'VARCHAR' }
}
