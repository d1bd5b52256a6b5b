import { type ScalarTag, stringify, type ToStringOptions } from 'yaml'
import { isMapping } from '../util/mapping.ts'
import { escaped } from './variables.ts'

/** A text of whoever asked for the job: nothing in it is a reference, whatever stands in it. */
class Verbatim {
  readonly yaml: string

  // References are looked for before YAML is parsed: what could begin one is written as an escape.
  constructor(text: string) {
    this.yaml = JSON.stringify(text).replaceAll('${', () => '\\x24{')
  }
}

/** How a YAML document writes texts of {@link verbatim}; it is one of its `customTags`. */
export const verbatimTag: ScalarTag = {
  tag: 'tag:yaml.org,2002:str',
  default: true,
  identify: value => value instanceof Verbatim,
  resolve: text => text,
  stringify: ({ value }) => (value as Verbatim).yaml,
}

/** A value for job.yaml whose texts, keys too, stay as they are: none of them is taken for a reference. */
export function verbatim(value: unknown): unknown {
  // References are put in for values, not for keys.
  if (typeof value === 'string') return value.includes('${') ? new Verbatim(escaped(value)) : value
  if (Array.isArray(value)) return value.map(verbatim)
  if (!isMapping(value)) return value
  const entries = Object.entries(value).map(([key, each]) => [
    key.includes('${') ? new Verbatim(key) : key,
    verbatim(each),
  ])
  return new Map(entries as [unknown, unknown][])
}

/** YAML in which texts of {@link verbatim} may stand; no line is folded, since that may change what it says. */
export const yamlOf = (value: unknown, options: ToStringOptions = {}): string =>
  stringify(value, { customTags: [verbatimTag], lineWidth: 0, ...options })
