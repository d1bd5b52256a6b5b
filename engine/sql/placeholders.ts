import { givenAs } from './dialect.ts'
import type { SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'

const PLACEHOLDER = /\{\{-?\s*(.*?)\s*-?\}\}|\$\{\s*(\w+)\s*\}|\{%.*?%\}/s

/** Functions for which such signs are a text to look for. */
const LOOKING =
  /^(replace|regexp_\w+|str_?split\w*|string_split\w*|split\w*|strpos|instr|contains|starts_with|ends_with|suffix|prefix|format|printf)$/

/** Texts with signs that another tool would put something in place of. */
export function placeholders(nodes: SqlNode[]): Pitfall[] {
  const spared = new Set(
    nodes
      .filter(({ function_name: name = '' }) => LOOKING.test(name.toLowerCase()))
      .flatMap(({ children }) => children as SqlNode[]),
  )
  return nodes.flatMap(node => {
    const text = node.type === 'VALUE_CONSTANT' ? (node.value as { value?: unknown }).value : undefined
    if (typeof text !== 'string' || spared.has(node)) return []
    const [sign, braces, dollar] = PLACEHOLDER.exec(text) ?? []
    if (sign === undefined) return []
    return [
      {
        node,
        message: `${sign} is a text as it stands: nothing is put in its place`,
        hint: givenAs(dollar ?? braces ?? ''),
      },
    ]
  })
}
