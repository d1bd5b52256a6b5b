import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
  type YAMLMap,
} from 'yaml'
import { ConfigInvalid } from './invalid.ts'
import { unveil, veil } from './variables.ts'
import { verbatimTag } from './verbatim.ts'

/** A value of a YAML file: a list, a mapping, or else a scalar. Aliases and merge keys are what they stand for. */
export interface YamlNode {
  /** Its offset in the text; undefined where nothing stands. */
  at?: number
  items?: YamlNode[]
  /** `key`: the offset of the name. */
  entries?: Map<string, { key?: number; node: YamlNode }>
  /** References in it are as they are written. */
  scalar?: unknown
}

/** A YAML file as it is read. */
export interface Yaml {
  text: string
  lines: LineCounter
  root: YamlNode
  faults: YamlFault[]
  /** It is no YAML: `root` is what could be made of it. */
  isBroken: boolean
}

interface YamlFault {
  at: number
  message: string
}

/** Reads a file in which references may stand unquoted. */
export const readYaml = (text: string): Yaml => parse(text).yaml

/** The keys of the mapping below one at the top; none where there is no such. */
export const keysBelow = (text: string, key: string): string[] => [
  ...(readYaml(text).root.entries?.get(key)?.node.entries?.keys() ?? []),
]

/**
 * A file's text with entries added below keys of the top; comments and references stay as they are written. Fails with
 * CONFIG_INVALID where the file cannot be read, or what is below such a key stands elsewhere, by an alias or a merge.
 */
export function withEntries(
  file: string,
  text: string,
  added: Record<string, Record<string, unknown>>,
): string {
  const { parsed, yaml } = parse(text)
  const { root, lines, faults } = yaml
  if (root.scalar === null) parsed.contents = null
  else if (!isMap(parsed.contents)) faults.push({ at: root.at ?? 0, message: 'expected a mapping' })
  for (const [section, entries] of Object.entries(added)) {
    const names = Object.keys(entries)
    if (names.length === 0) continue
    const said = root.entries?.get(section)
    const isThere = isMap(parsed.contents) && isMap(parsed.contents.get(section, true))
    if (said && said.node.scalar !== null && !isThere)
      faults.push({
        at: said.key ?? 0,
        message: `${section} is no mapping that stands here itself: add ${names.join(', ')} by hand`,
      })
    if (faults.length > 0) continue
    if (!isThere) {
      const empty = isMap(parsed.contents) ? parsed.contents.get(section, true) : undefined
      const { comment, commentBefore } = empty ?? {}
      parsed.set(section, Object.assign(parsed.createNode({}), { comment, commentBefore }))
    }
    for (const name of names) {
      const node = parsed.createNode(entries[name])
      if (isMap(node)) node.flow = true
      parsed.setIn([section, name], node)
    }
  }
  if (faults.length > 0)
    throw new ConfigInvalid(
      faults.map(({ at, message }) => {
        const { line, col } = lines.linePos(at)
        return { file, place: { line, column: col, end: col, excerpt: '' }, message }
      }),
    )
  return unveil(parsed.toString({ lineWidth: 0 }))
}

function parse(text: string): { parsed: Document.Parsed; yaml: Yaml } {
  const lines = new LineCounter()
  const parsed = parseDocument(veil(text), {
    lineCounter: lines,
    prettyErrors: false,
    resolveKnownTags: false,
    customTags: [verbatimTag],
  })
  const errors = parsed.errors.map(faultOf)
  const reader = new Reader()
  const root = reader.node(parsed.contents, [])
  const isBroken = errors.length > 0
  const faults = isBroken ? errors : [...parsed.warnings.map(faultOf), ...reader.faults]
  return { parsed, yaml: { text, lines, root, faults, isBroken } }
}

const faultOf = ({ code, message, pos: [at] }: YAMLError): YamlFault => ({
  at,
  message: unveil(
    code === 'MULTIPLE_DOCS'
      ? 'a second document begins here (---): a file is one'
      : code === 'TAG_RESOLVE_FAILED'
        ? `${message}: a tag means nothing here; a value from elsewhere is a reference, such as \${NAME}`
        : message,
  ),
})

/** Whether what is given is put together with the mapping: `<<`. */
const isMerge = ({ key }: { key: unknown }) => isScalar(key) && key.value === '<<'

class Reader {
  readonly faults: YamlFault[] = []
  readonly #anchors = new Map<string, YamlNode>()
  /** Those that are not yet read to their end. */
  readonly #open = new Set<YamlNode>()

  node(given: unknown, path: readonly string[]): YamlNode {
    if (isAlias(given)) return this.#target(given)
    const node: YamlNode = {}
    const { range, anchor } = (given ?? {}) as Node & { anchor?: string }
    if (range) node.at = range[0]
    if (anchor) this.#anchors.set(anchor, node)
    this.#open.add(node)
    if (isSeq(given)) node.items = given.items.map((item, index) => this.node(item, [...path, `${index}`]))
    else if (isMap(given)) node.entries = this.#entries(given, path)
    else node.scalar = scalarOf(given)
    this.#open.delete(node)
    return node
  }

  #target({ source, range }: Alias): YamlNode {
    const target = this.#anchors.get(source)
    if (target && !this.#open.has(target)) return target
    this.#refuse(
      range,
      target
        ? `*${source} stands within &${source}, which it is: that would have no end`
        : `there is no &${source} before *${source}`,
    )
    return { scalar: null }
  }

  // What stands in the mapping itself goes before what it is merged with, and of that the first.
  #entries(map: YAMLMap, path: readonly string[]): NonNullable<YamlNode['entries']> {
    const own: NonNullable<YamlNode['entries']> = new Map()
    const merged: YamlNode[] = []
    for (const pair of map.items) {
      const range = (pair.key as Node | null)?.range
      if (isMerge(pair)) {
        const node = this.node(pair.value, path)
        const parts = node.items ?? [node]
        if (parts.some(({ entries }) => !entries))
          this.#refuse(
            range,
            `${path.join('.') || 'the file'}: << needs a mapping, or a list of them: *NAME of an anchor &NAME`,
          )
        merged.push(...parts.toReversed())
        continue
      }
      const key = this.node(pair.key, path)
      const name = String(key.scalar)
      if (key.items || key.entries) this.#refuse(range, 'expected a text for a key')
      else if (own.has(name)) this.#refuse(range, `the key ${name} stands there twice`)
      own.set(name, {
        ...(range && { key: range[0] }),
        node: this.node(pair.value, [...path, name]),
      })
    }
    return new Map([...merged.flatMap(({ entries }) => [...(entries ?? [])]), ...own])
  }

  #refuse(range: Node['range'], message: string): void {
    this.faults.push({ at: range?.[0] ?? 0, message })
  }
}

function scalarOf(given: unknown): unknown {
  const value = isScalar(given) ? given.value : null
  return typeof value === 'string' ? unveil(value) : value
}
