import { keyOf } from './keys.ts'

/** A node of a JSON Schema, as far as it is looked at. */
export interface SchemaNode {
  title?: string
  type?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  const?: unknown
  anyOf?: SchemaNode[]
  oneOf?: SchemaNode[]
  items?: SchemaNode
  properties?: Record<string, SchemaNode>
  additionalProperties?: SchemaNode | boolean
}

/** Every key of job.yaml by its path, in which `*` is a name of the job's own, with the forms that it may have. */
export function keysIn(schema: SchemaNode): Map<string, SchemaNode[]> {
  const found = new Map<string, SchemaNode[]>()
  const visit = (node: SchemaNode | undefined, path: string): void => {
    if (!node) return
    for (const branch of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) visit(branch, path)
    for (const [name, value] of Object.entries(node.properties ?? {})) {
      const inner = path === '' ? name : `${path}.${name}`
      found.set(inner, [...(found.get(inner) ?? []), value])
      visit(value, inner)
    }
    if (typeof node.additionalProperties === 'object') visit(node.additionalProperties, `${path}.*`)
    visit(node.items, path)
  }
  visit(schema, '')
  return found
}

/** The schema with what each key means, for editors to show. */
export function explained(schema: SchemaNode): SchemaNode {
  const copy = structuredClone(schema)
  for (const [path, nodes] of keysIn(copy))
    for (const node of nodes) {
      const meaning = keyOf(path)?.[0]
      if (meaning) node.description = node.description ? `${meaning} Expected: ${node.description}.` : meaning
    }
  return copy
}

/** The page of all keys of job.yaml: what each means, what it may be, its default, an example. */
export function jobPage(schema: SchemaNode): string {
  const keys = [...keysIn(schema)]
  const tops = [...new Set(keys.map(([path]) => path.split('.')[0]!))]
  const sections = tops.map(top => {
    const own = keys.filter(([path]) => path.split('.')[0] === top)
    const lines = own.map(([path, nodes]) => {
      const [meaning, example] = keyOf(path) ?? ['', '']
      const forms = [...new Set(nodes.flatMap(formsOf))].join(', ')
      const fallback = nodes.map(({ default: value }) => value).find(value => value !== undefined)
      const shown = fallback === undefined ? '' : code(JSON.stringify(fallback))
      return `| ${code(path)} | ${cell(meaning)} | ${cell(forms)} | ${shown} | ${code(example)} |`
    })
    return `## ${top}\n\n| key | meaning | values | default | example |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n`
  })
  return `<!-- Made by npm run docs. -->\n# The keys of job.yaml\n\n\`*\` stands for a name of your own.\n\n${sections.join('\n')}`
}

/** What a value may be, in a word or two each. */
function formsOf({
  description,
  enum: values,
  const: only,
  type,
  anyOf,
  oneOf,
  properties,
}: SchemaNode): string[] {
  if (description !== undefined) return [description]
  if (values) return values.map(String)
  if (only !== undefined) return [String(only)]
  const branches = [...(anyOf ?? []), ...(oneOf ?? [])]
  if (branches.length > 0) return branches.flatMap(formsOf)
  if (type === 'object') return [properties ? 'keys below' : 'a mapping']
  return type === undefined ? [] : [WORDS[type] ?? type]
}

const WORDS: Record<string, string> = {
  string: 'text',
  array: 'list',
  boolean: 'true or false',
  integer: 'whole number',
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const code = (text: string) => (text === '' ? '' : `\`${cell(text)}\``)
