import { dirname, relative, resolve } from 'node:path'
import type { LineCounter } from 'yaml'
import { ownValue } from '../../engine/ownValue.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import type { FilePlace } from '../../engine/sql/text.ts'
import type { SecretContext } from '../secrets/provider.ts'
import { isMapping } from '../util/mapping.ts'
import { redact } from '../util/redact.ts'
import { ConfigInvalid } from './invalid.ts'
import { secretValues } from './secrets.ts'
import { type Expansion, expand } from './variables.ts'
import { readYaml, type Yaml, type YamlNode } from './yaml.ts'

export type Path = readonly (string | number)[]

interface Span {
  /** Offsets in the text. */
  key?: number
  value?: number
  /** The scalar as written, before variables. */
  raw?: string
  /** The scalar's value, where references are in it. */
  given?: string
  /** The scalar's value is what one reference gave. */
  referenced?: boolean
  /** The file that it stands in, where that is an included one. */
  origin?: Origin
}

interface Origin {
  file: string
  lines: LineCounter
}

/** A value with another below it; what is empty says nothing. */
export function below(other: unknown, own: unknown): unknown {
  if (own === null || own === undefined) return other
  if (!isMapping(own) || !isMapping(other)) return own
  const keys = new Set([...Object.keys(other), ...Object.keys(own)])
  return Object.fromEntries([...keys].map(key => [key, below(ownValue(other, key), ownValue(own, key))]))
}

/** Of which paths the references are resolved; of others they stay as they are written, and what they give need not be there. */
type Needed = (path: Path) => boolean

/** Shorter values are not replaced by their reference in a message: they stand in other words, too. */
const SHORT = 4

/** A YAML file's content, with the span of everything in it. Collects problems, to report them all at once. */
export class Document {
  readonly file: string
  value: unknown
  /** What references gave, as far as it may be secret. */
  readonly secrets: string[]
  readonly #lines: LineCounter
  readonly #spans = new Map<string, Span>()
  readonly #masks = new Map<string, string>()
  readonly #problems: { file: string; line: number; col: number; text: string }[] = []

  /**
   * Fails with CONFIG_INVALID on a syntax error, a duplicate key, or a reference to what is not there; without a
   * `context`, references stay as they are written.
   */
  static open(file: string, text: string, context?: SecretContext, isNeeded?: Needed): Promise<Document> {
    return Document.read(file, readYaml(text), context, isNeeded)
  }

  /** The same of a file that has been read, or of a part of it. */
  static async read(
    file: string,
    yaml: Yaml,
    context?: SecretContext,
    isNeeded: Needed = () => true,
  ): Promise<Document> {
    // What other environments refer to need not be there.
    const isOwn: Needed = path =>
      isNeeded(path) &&
      (path[0] !== 'environments' || path.length < 2 || path[1] === context?.env.NIGHTFREIGHT_ENV)
    const expansions = new Map<string, Expansion>()
    if (context && yaml.faults.length === 0)
      for (const scalar of scalarsOf(yaml.root, isOwn))
        if (!expansions.has(scalar)) expansions.set(scalar, await expand(scalar, context))
    return new Document(file, yaml, expansions, isOwn)
  }

  private constructor(
    file: string,
    { text, lines, root, faults }: Yaml,
    expansions: ReadonlyMap<string, Expansion>,
    isNeeded: Needed,
  ) {
    this.file = file
    this.#lines = lines
    for (const { at, message } of faults) this.#problem({ offset: at }, message)
    this.throwIfAny()
    this.secrets = secretValues(text, expansions)
    this.value = this.#read(root, [], path => (isNeeded(path) ? expansions : new Map()))
    this.throwIfAny()
  }

  /** How many problems were noted so far. */
  get count(): number {
    return this.#problems.length
  }

  /**
   * Where each key of the top two levels stands: `load.orders`. Files are from the job's folder; lines are not shown: they
   * may hold secrets.
   */
  places(): Record<string, FilePlace> {
    const found: Record<string, FilePlace> = {}
    for (const [path, { key, origin }] of this.#spans) {
      const names = JSON.parse(path) as string[]
      if (names.length > 2 || key === undefined) continue
      const { line, col } = (origin?.lines ?? this.#lines).linePos(key)
      const place = { line, column: col, end: col + names.at(-1)!.length, excerpt: '' }
      found[names.join('.')] = { file: this.#named(origin), place }
    }
    return found
  }

  /** File and line of a key, or of what is nearest above it: `job.yaml:7`, `../shared/checks.yaml:3`. */
  placeText(path: Path): string {
    const { offset, origin } = this.#offset(path, 'key')
    const { line } = (origin?.lines ?? this.#lines).linePos(offset)
    return `${this.#named(origin)}:${Math.max(1, line)}`
  }

  /** The folder of the included file in which a value stands; undefined of one of the document's own. */
  folderOf(path: Path): string | undefined {
    const { origin } = this.#offset(path, 'value')
    return origin && resolve(dirname(origin.file))
  }

  /** A file from the folder of the document's own. */
  #named(origin: Origin | undefined): string {
    return relative(dirname(this.file), origin?.file ?? this.file)
  }

  /** Puts another file's content below this one's: what both say holds as it is here, mappings are put together. */
  include(other: Document): void {
    this.value = below(other.value, this.value)
    const origin = { file: other.file, lines: other.#lines }
    for (const [path, span] of other.#spans) {
      const own = this.#spans.get(path)
      if (!own) this.#spans.set(path, { ...span, origin: span.origin ?? origin })
    }
    for (const [value, reference] of other.#masks) this.#masks.set(value, reference)
    this.secrets.push(...other.secrets)
  }

  /** Notes a problem at the value, or the key, that `path` leads to, or at what is nearest above it. */
  problem(path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    this.#problem(this.#offset(path, at), message)
  }

  /** What stands at `path`, for a message: variables by name, long text cut; what a connection, a channel, the archive or the report is told never. */
  found(path: Path, value: unknown): string {
    const raw = this.#spans.get(JSON.stringify(path))?.raw
    if (raw !== undefined) value = raw
    if (value === undefined || value === null) return 'nothing'
    if (Array.isArray(value)) {
      const items = value.map((each, index) => this.found([...path, index], each)).join(', ')
      return items.length > 60 ? 'a list' : `[${items}]`
    }
    if (typeof value === 'object') return 'a mapping'
    // A password, or a broken URL around one, has no form by which it could be masked.
    if (
      ['connections', 'environments', 'alerts', 'archive', 'report'].includes(String(path[0])) &&
      !/^\$\{\w+\}$/.test(String(value))
    )
      return `a ${typeof value}`
    const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
    return text.length > 80 ? `${text.slice(0, 77)}…` : text
  }

  /** Lets what stands at `path`, and below, be found where `origin` is: it was made from that. */
  derive(path: Path, origin: Path): void {
    const [from, to] = [origin, path].map(each => JSON.stringify(each).slice(0, -1)) as [string, string]
    for (const [key, span] of [...this.#spans])
      if (key.startsWith(from) && [']', ','].includes(key[from.length]!))
        this.#spans.set(to + key.slice(from.length), span)
  }

  /** What a text at `path` is that a reference alone has given, read as YAML would: a number, true or false; else undefined. */
  referenced(path: Path, value: unknown): unknown {
    if (typeof value !== 'string' || !this.#spans.get(JSON.stringify(path))?.referenced) return undefined
    if (value === 'true' || value === 'false') return value === 'true'
    return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) ? Number(value) : undefined
  }

  /** Values that references are in, below some keys of the top, by their paths: `vars.region`. */
  given(keys: readonly string[]): [path: string, value: string][] {
    const found: [string, string][] = []
    for (const [path, { given }] of this.#spans) {
      const names = JSON.parse(path) as string[]
      if (given !== undefined && keys.includes(names[0]!)) found.push([names.join('.'), given])
    }
    return found
  }

  /** Every problem noted so far, in the order of the file. */
  faults(): Fault[] {
    return this.#problems
      .sort(
        (a, b) =>
          Number(a.file !== this.file) - Number(b.file !== this.file) || a.line - b.line || a.col - b.col,
      )
      .map(({ file, line, col, text }) => ({
        file,
        place: { line, column: col, end: col, excerpt: '' },
        message: text,
      }))
  }

  /** Fails with all of them. */
  throwIfAny(): void {
    if (this.#problems.length > 0) throw new ConfigInvalid(this.faults())
  }

  #problem({ offset, origin }: { offset: number; origin?: Origin }, message: string): void {
    const { file, lines } = origin ?? { file: this.file, lines: this.#lines }
    const { line, col } = lines.linePos(offset)
    this.#problems.push({ file, line: Math.max(line, 1), col: Math.max(col, 1), text: this.#mask(message) })
  }

  #offset(path: Path, at: 'key' | 'value'): { offset: number; origin?: Origin } {
    for (let length = path.length; length >= 0; length--) {
      const span = this.#spans.get(JSON.stringify(path.slice(0, length)))
      const whole = length === path.length
      // A key that is missing is reported at the name of the mapping that lacks it.
      const offset = whole && at === 'value' ? (span?.value ?? span?.key) : (span?.key ?? span?.value)
      if (offset !== undefined) return { offset, ...(span?.origin && { origin: span.origin }) }
    }
    return { offset: 0 }
  }

  // Longest first, so that one value inside another does not leave the rest of it readable.
  #mask(message: string): string {
    for (const value of [...this.#masks.keys()].sort((a, b) => b.length - a.length))
      if (value.length >= SHORT) message = message.replaceAll(value, () => this.#masks.get(value) ?? '')
    return redact(message, this.secrets ?? []).replace(/(\/\/[^\s/:@"]*):[^\s@"]+@/g, '$1:***@')
  }

  #read(node: YamlNode, path: Path, expansions: (path: Path) => ReadonlyMap<string, Expansion>): unknown {
    const span = this.#spans.get(JSON.stringify(path)) ?? {}
    this.#spans.set(JSON.stringify(path), span)
    if (node.at !== undefined) span.value = node.at
    if (node.items) return node.items.map((item, index) => this.#read(item, [...path, index], expansions))
    if (node.entries)
      return Object.fromEntries(
        [...node.entries].map(([name, { key, node: value }]) => {
          this.#spans.set(JSON.stringify([...path, name]), key === undefined ? {} : { key })
          return [name, this.#read(value, [...path, name], expansions)]
        }),
      )
    const { scalar: raw } = node
    if (typeof raw !== 'string') return raw
    const { text, problems, used } = expansions(path).get(raw) ?? { text: raw, problems: [], used: [] }
    span.raw = raw
    if (used.length > 0) span.given = text
    span.referenced = used.length > 0 && used.some(({ value }) => value === text)
    for (const problem of problems) this.problem(path, `${path.join('.')}: ${problem}`)
    for (const { reference, value } of used) this.#masks.set(value, reference)
    return text
  }
}

/** The texts below a node that are needed. */
function* scalarsOf(node: YamlNode, isNeeded: Needed, path: Path = []): Generator<string> {
  if (!isNeeded(path)) return
  for (const [index, item] of (node.items ?? []).entries()) yield* scalarsOf(item, isNeeded, [...path, index])
  for (const [name, { node: value }] of node.entries ?? []) yield* scalarsOf(value, isNeeded, [...path, name])
  if (typeof node.scalar === 'string') yield node.scalar
}
