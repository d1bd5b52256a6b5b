import { type Alias, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { EngineError } from '../../engine/errors.ts'
import { expand, unveil, veil } from './variables.ts'

export type Path = readonly (string | number)[]

interface Span {
  /** Offsets in the text. */
  key?: number
  value?: number
  /** The scalar as written, before variables. */
  raw?: unknown
}

/** A YAML file's content, with the span of everything in it. Collects problems, to report them all at once. */
export class Document {
  readonly file: string
  readonly value: unknown
  readonly #lines = new LineCounter()
  readonly #spans = new Map<string, Span>()
  readonly #masks = new Map<string, string>()
  readonly #problems: { line: number; col: number; text: string }[] = []

  /** Fails with CONFIG_INVALID on a syntax error, a duplicate key, or a variable that is not set. */
  constructor(file: string, text: string, env: Record<string, string | undefined>) {
    this.file = file
    const parsed = parseDocument(veil(text), { lineCounter: this.#lines, prettyErrors: false })
    for (const error of parsed.errors) this.#problem(error.pos[0], unveil(error.message))
    this.throwIfAny()
    this.value = this.#read(parsed.contents, [], env, alias => alias.resolve(parsed))
    this.throwIfAny()
  }

  /** How many problems were noted so far. */
  get count(): number {
    return this.#problems.length
  }

  /** Notes a problem at the value, or the key, that `path` leads to, or at what is nearest above it. */
  problem(path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    this.#problem(this.#offset(path, at), message)
  }

  /** What stands at `path`, for a message: variables by name, long text cut; what a connection, a channel or the archive is told never. */
  found(path: Path, value: unknown): string {
    const raw = this.#spans.get(JSON.stringify(path))?.raw
    if (raw !== undefined) value = raw
    if (value === undefined || value === null) return 'nothing'
    if (Array.isArray(value)) return 'a list'
    if (typeof value === 'object') return 'a mapping'
    // A password, or a broken URL around one, has no form by which it could be masked.
    if (['connections', 'alerts', 'archive'].includes(String(path[0])) && !/^\$\{\w+\}$/.test(String(value)))
      return `a ${typeof value}`
    const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
    return text.length > 80 ? `${text.slice(0, 77)}…` : text
  }

  /** Fails with every problem noted so far, in the order of the file. */
  throwIfAny(): void {
    if (this.#problems.length === 0) return
    const lines = this.#problems
      .sort((a, b) => a.line - b.line || a.col - b.col)
      .map(({ line, col, text }) => `${this.file}:${line}:${col}: ${text}`)
    throw new EngineError('CONFIG_INVALID', [...new Set(lines)].join('\n'))
  }

  #problem(offset: number, message: string): void {
    const { line, col } = this.#lines.linePos(offset)
    this.#problems.push({ line: Math.max(line, 1), col: Math.max(col, 1), text: this.#mask(message) })
  }

  #offset(path: Path, at: 'key' | 'value'): number {
    for (let length = path.length; length >= 0; length--) {
      const span = this.#spans.get(JSON.stringify(path.slice(0, length)))
      const whole = length === path.length
      // A key that is missing is reported at the name of the mapping that lacks it.
      const offset = whole && at === 'value' ? (span?.value ?? span?.key) : (span?.key ?? span?.value)
      if (offset !== undefined) return offset
    }
    return 0
  }

  // Longest first, so that one value inside another does not leave the rest of it readable.
  #mask(message: string): string {
    for (const value of [...this.#masks.keys()].sort((a, b) => b.length - a.length))
      message = message.replaceAll(value, () => this.#masks.get(value) ?? '')
    return message.replace(/(\/\/[^\s/:@"]*):[^\s@"]+@/g, '$1:***@')
  }

  #read(
    node: unknown,
    path: Path,
    env: Record<string, string | undefined>,
    resolve: (alias: Alias) => unknown,
  ): unknown {
    if (isAlias(node)) return this.#read(resolve(node), path, env, resolve)
    const span = this.#spans.get(JSON.stringify(path)) ?? {}
    this.#spans.set(JSON.stringify(path), span)
    const range = (node as Node | null)?.range
    if (range) span.value = range[0]
    if (isSeq(node)) return node.items.map((item, i) => this.#read(item, [...path, i], env, resolve))
    if (isMap(node))
      return Object.fromEntries(
        node.items.map(({ key, value }) => {
          const name = unveil(String(isScalar(key) ? key.value : key))
          const start = (key as Node).range?.[0]
          this.#spans.set(JSON.stringify([...path, name]), start === undefined ? {} : { key: start })
          return [name, this.#read(value, [...path, name], env, resolve)]
        }),
      )
    if (!isScalar(node)) return null
    if (typeof node.value !== 'string') return node.value
    span.raw = unveil(node.value)
    const expansion = expand(unveil(node.value), env)
    for (const problem of expansion.problems) this.problem(path, `${path.join('.')}: ${problem}`)
    for (const { reference, value } of expansion.used)
      if (value.length >= 4) this.#masks.set(value, reference)
    return expansion.text
  }
}
