import { createHmac } from 'node:crypto'
import type { LoadSpec } from './contracts/load.ts'
import type { ExtractSpec } from './contracts/source.ts'
import { EngineError, errorData, errorFrom } from './errors.ts'

type Text = string | null

/** A job as far as it says what is sensitive, and which words its own files hold. */
interface Marked {
  extracts: Pick<ExtractSpec, 'name' | 'key' | 'sensitive'>[]
  loads: Pick<LoadSpec, 'table' | 'from' | 'key' | 'sensitive'>[]
  models: { name: string; file: string; sql: string }[]
  checks: { name: string; file: string; sql: string }[]
  macros: { sql: string }[]
}

const PREFIX = 'masked-'

export const isMasked = (text: string): boolean => text.startsWith(PREFIX)

/** Characters of a hash: equal values are recognised, others are not taken for equal. */
const DIGITS = 12

/** Below so many characters, what happens to be the same as a value is masked only where it stands alone. */
const SHORT = 4

const NAME = String.raw`(?<!\b(?:column|constraint|table|relation|index|type|function|database|schema|enum|extract|connection|model|user|role|bindings:|mean) ["']?)`
const SINGLE = new RegExp(
  String.raw`${NAME}(?<!key )(?<![\p{L}\p{N}])'((?:''|'(?=[\p{L}\p{N}])|[^'])+)'`,
  'gu',
)
const DOUBLE = new RegExp(String.raw`${NAME}(?<![\p{L}\p{N}.])"((?:\\.|[^"\\])+)"(?!\.)`, 'gu')
/**
 * Of Postgres: `Key (lower(email))=(…) already exists`, `conflicts with existing key (…)=(…)`. A value ends where the words
 * stand that are known to follow, else at the last bracket of the line, and before the next key.
 */
const COLUMNS = String.raw`(?<columns>(?:(?!\)=\()[^\n])*)`
const KEY_VALUE = String.raw`(?:(?!\bkey \([^\n]*\)=\()[^\n])*`
const FOLLOWS = String.raw`\) (?:already exists|is (?:not present|still referenced|referenced|duplicated)|conflicts)`
const KEY = new RegExp(
  String.raw`(\bkey \(${COLUMNS}\)=\()(${KEY_VALUE}?(?=${FOLLOWS})|${KEY_VALUE}(?=\))|[^\n]*)`,
  'gi',
)
/** Of MySQL and MariaDB, which leave quotes within as they are. */
const DUPLICATE = /(Duplicate entry )'([^\n]*?)'(?= for key )/g
/** `Failing row contains (…)`, `Partition key of the failing row contains (…) = (…)`. */
const WHOLE_ROW = /(failing row contains \()[^\n]*/gi
/** What may be a part of a value: the domain of an address, the first digits of a number. */
const PART = new RegExp(String.raw`[\p{L}\p{N}][\p{L}\p{N}@.+_-]{${SHORT - 2},}[\p{L}\p{N}]`, 'gu')
/** Numbers that DuckDB does not quote: `value 5200 can't be cast`, `Overflow in addition of INT32 (5200 + 1)`. */
const NUMBER = String.raw`-?\d[\d.]*(?:e[+-]?\d+)?`
const CAST = new RegExp(String.raw`(\bvalue )(${NUMBER})(?= )`, 'gi')
const OVERFLOW = new RegExp(String.raw`(\()(${NUMBER})( [-+*/%] )(${NUMBER})(?=\))`, 'gi')
/** What may follow a value that is not in quotes. */
const ENDS = String.raw`, [\p{L}_][\p{L}\p{N}_]* = |, and \d+ more|, which is | stands in | violates |: |; |\)[\s:;,.]|\)$|\n|$`

/**
 * What stands for values of sensitive columns wherever people see them: a keyed hash, so that equal values stay
 * recognisable and none can be guessed without the key.
 */
export class Mask {
  /** Masks nothing. */
  static readonly none = new Mask('', { extracts: [], loads: [], models: [], checks: [], macros: [] })

  private readonly key: string
  private readonly job: Marked
  private readonly all: string[]
  private readonly words: string

  constructor(key: string, job: Marked = Mask.none.job) {
    this.key = key
    this.job = job
    this.all = [...new Set([...job.extracts, ...job.loads].flatMap(({ sensitive = [] }) => sensitive))]
    const files = [...job.models, ...job.checks].flatMap(({ name, file, sql }) => [name, file, sql])
    const names = [...job.extracts, ...job.loads].flatMap(({ key }) => key)
    const tables = [...job.extracts.map(({ name }) => name), ...job.loads.map(({ table }) => table)]
    this.words = [...files, ...names, ...tables, ...job.macros.map(({ sql }) => sql)].join('\n')
  }

  /** False where nothing is sensitive. */
  get isNeeded(): boolean {
    return this.all.length > 0
  }

  /** Whether a column's values, or some of a table of which it is not known which, are not to be seen. */
  covers({ table, column }: { table: string; column: string }): boolean {
    const sensitive = this.columnsOf(table)
    return column === '*' ? sensitive.length > 0 : isSensitive(sensitive, column)
  }

  /** Sensitive columns of an extract or a model. */
  columnsOf(table: string): string[] {
    const extract = this.job.extracts.find(({ name }) => name === table)
    const loads = this.job.loads.filter(({ from }) => from === table)
    const own = extract ? (extract.sensitive ?? []) : loads.length > 0 ? [] : this.all
    return [...new Set([...own, ...loads.flatMap(({ sensitive = [] }) => sensitive)])]
  }

  /** A column's value as people may see it. */
  value(sensitive: readonly string[], column: string, value: Text): Text {
    return value !== null && isSensitive(sensitive, column) ? this.hash(value) : value
  }

  /** A row's values as people may see them; the row may have more columns than its table, which hold any of it. */
  record(
    sensitive: readonly string[],
    record: Record<string, Text>,
    known?: readonly string[],
  ): Record<string, Text> {
    const whole = (column: string) => sensitive.length > 0 && known !== undefined && !known.includes(column)
    return Object.fromEntries(
      Object.entries(record).map(([column, value]) => [
        column,
        value !== null && whole(column) ? this.hash(value) : this.value(sensitive, column, value),
      ]),
    )
  }

  /**
   * A text about a row, such as the reason of a check: no sensitive value of the row is in it, however it is written, nor a
   * part of one that no other value and no file of the job holds.
   */
  about(sensitive: readonly string[], record: Record<string, Text>, text: string): string {
    if (sensitive.length === 0) return text
    const values = Object.entries(record)
      .flatMap(([column, value]) => (value && isSensitive(sensitive, column) ? formsOf(value) : []))
      .filter(value => value !== '')
      .sort((a, b) => b.length - a.length)
    if (values.length === 0) return this.text(text)
    const pattern = values
      .map(value =>
        value.length < SHORT ? `(?<![\\p{L}\\p{N}])${escaped(value)}(?![\\p{L}\\p{N}])` : escaped(value),
      )
      .join('|')
    const others = Object.entries(record).flatMap(([column, value]) =>
      value && !isSensitive(sensitive, column) ? [value.toLowerCase()] : [],
    )
    const isPart = (word: string) =>
      values.some(value => value.toLowerCase().includes(word.toLowerCase())) &&
      !others.some(value => value.includes(word.toLowerCase()))
    const shown = text
      .replace(new RegExp(pattern, 'giu'), found => this.hash(found))
      .replace(PART, word => (isMasked(word) || !isPart(word) || this.isOwn(word) ? word : this.hash(word)))
    return this.text(shown)
  }

  /** A message, which may quote values: those that the job's own files do not hold are masked. */
  text(message: string): string {
    if (this.all.length === 0) return message
    const names = this.all.map(name => escaped(name)).join('|')
    const assigned = new RegExp(
      `(?<![\\p{L}\\p{N}_])((?:${names}) = )(?!NULL\\b|${PREFIX})(.+?)(?=${ENDS})`,
      'giu',
    )
    const named = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${names})(?![\\p{L}\\p{N}_])`, 'iu')
    const number = new RegExp(`(?<![\\p{L}\\p{N}_])((?:${names}): )(${NUMBER})(?![\\p{L}\\p{N}])`, 'giu')
    const quoted = (all: string, value: string) =>
      isMasked(value) || this.isOwn(value) ? all : `${all[0]}${this.hash(value)}${all.at(-1)}`
    const ofColumns = (all: string, before: string, columns: string, values: string) =>
      named.test(columns) ? before + this.hash(values) : all
    return message
      .replace(WHOLE_ROW, '$1…)')
      .replace(KEY, ofColumns)
      .replace(DUPLICATE, (all, before: string, value: string) =>
        isMasked(value) || this.isOwn(value) ? all : `${before}'${this.hash(value)}'`,
      )
      .replace(
        assigned,
        (_, before: string, value: string) => before + this.hash(value.replace(/^'(.*)'$/, '$1')),
      )
      .replace(number, (_, before: string, value: string) => before + this.hash(value))
      .replace(CAST, (_, before: string, value: string) => before + this.hash(value))
      .replace(OVERFLOW, (_, before: string, one: string, sign: string, other: string) =>
        [before, this.hash(one), sign, this.hash(other)].join(''),
      )
      .replace(SINGLE, quoted)
      .replace(DOUBLE, quoted)
  }

  /** What a query says that may show sensitive values: no word, and no number, that is not its own. */
  ownWords(message: string, sql: string): string {
    const own = (word: string) => (!/[\p{L}\p{N}]/u.test(word) || holds(sql, word) ? word : this.hash(word))
    return message.replace(/[^\s,;:()'"]+/g, own)
  }

  /** A failure as people may see it. One of the configuration quotes the job, never a row. */
  error(error: unknown): Error {
    if (!this.isNeeded && error instanceof Error) return error
    const { message, hint, stack, ...rest } = errorData(error)
    const isOfJob = error instanceof EngineError && error.category === 'CONFIGURATION_ERROR'
    const mask = (text: string) => (isOfJob && error.code !== 'MODEL_INVALID' ? text : this.text(text))
    return errorFrom({
      ...rest,
      message: mask(message),
      ...(hint !== undefined && { hint: mask(hint) }),
      ...(stack !== undefined && { stack: stack.replace(message, () => mask(message)) }),
    })
  }

  private hash(value: string): string {
    return `${PREFIX}${createHmac('sha256', this.key).update(value).digest('hex').slice(0, DIGITS)}`
  }

  private isOwn(text: string): boolean {
    return holds(this.words, text)
  }
}

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** A value as a text about its row may have it. */
const formsOf = (value: string) => [value, value.trim(), JSON.stringify(value).slice(1, -1)]

/** Whether a text has a word or words of their own. */
const holds = (text: string, words: string) =>
  new RegExp(`(?<![\\p{L}\\p{N}_])${escaped(words)}(?![\\p{L}\\p{N}_])`, 'iu').test(text)

/** Whether a column is among those that are named: the case of names is nobody's. */
export const isSensitive = (names: readonly string[], wanted: string): boolean =>
  names.some(name => name.toLowerCase() === wanted.toLowerCase())
