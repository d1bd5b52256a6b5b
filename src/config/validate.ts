import { z } from 'zod'
import { didYouMean } from '../../engine/nearest.ts'
import type { Document, Path } from './document.ts'

type Issue = z.core.$ZodIssue

const NAMES: Record<string, string> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  int: 'a whole number',
}

/**
 * Parses `value`, which stands at `path`, by `schema`. Every issue becomes a problem of the document, with its
 * place, the nearest valid name, and what was expected and found; the result is then undefined.
 * `alsoKnown`: keys valid at `path` that the schema does not list.
 */
export function validate<S extends z.ZodType>(
  document: Document,
  path: Path,
  schema: S,
  value: unknown,
  alsoKnown: readonly string[] = [],
): z.output<S> | undefined {
  let result = schema.safeParse(value)
  if (!result.success) {
    const typed = typedReferences(document, path, value, result.error.issues)
    if (typed !== undefined) result = schema.safeParse(typed)
  }
  if (result.success) return result.data
  for (const issue of result.error.issues) report(document, path, schema, value, issue, alsoKnown)
  return undefined
}

/** The value with numbers, true and false where references gave their texts, and those were not what was wanted. */
function typedReferences(document: Document, path: Path, value: unknown, issues: readonly Issue[]): unknown {
  let typed: unknown
  for (const { path: inner } of issues) {
    const names = inner.filter(part => typeof part !== 'symbol')
    const found = document.referenced([...path, ...names], at(value, names))
    if (found === undefined) continue
    typed ??= structuredClone(value)
    const last = names.at(-1)
    if (last === undefined) return found
    ;(at(typed, names.slice(0, -1)) as Record<string | number, unknown>)[last] = found
  }
  return typed
}

function report(
  document: Document,
  base: Path,
  schema: z.ZodType,
  value: unknown,
  issue: Issue,
  alsoKnown: readonly string[],
): void {
  const inner = issue.path.filter(part => typeof part !== 'symbol')
  const path = [...base, ...inner]
  const where = path.length === 0 ? 'the file' : path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const known = [...keysAt(schema, inner), ...(inner.length === 0 ? alsoKnown : [])]
    for (const key of issue.keys) {
      const hint = didYouMean(key, known) || (known.length ? `; known keys: ${known.join(', ')}` : '')
      const scope = path.length === 0 ? '' : ` in ${where}`
      document.problem([...path, key], `unknown key "${key}"${scope}${hint}`, 'key')
    }
    return
  }
  // A union's branch that failed below the top is the one that was meant.
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.find(branch =>
      branch.every(i => i.path.length > 0 || i.code === 'unrecognized_keys'),
    )
    if (meant && meant.length > 0) {
      for (const each of meant)
        report(document, base, schema, value, { ...each, path: [...issue.path, ...each.path] }, alsoKnown)
      return
    }
  }
  const found = at(value, inner)
  const wanted = expected(issue)
  if (found === undefined && path.length > 0) {
    const parent = path.length === 1 ? 'the file' : path.slice(0, -1).join('.')
    document.problem(path, `${parent} needs "${path.at(-1)}"${wanted ? `: ${wanted}` : ''}`)
    return
  }
  const near =
    issue.code === 'invalid_value' && typeof found === 'string'
      ? didYouMean(found, issue.values.map(String))
      : ''
  document.problem(
    path,
    `${where}: ${wanted ? `expected ${wanted}` : issue.message}; found ${document.found(path, found)}${near}`,
  )
}

function expected(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return NAMES[issue.expected] ?? `a ${issue.expected}`
    case 'invalid_value':
      return issue.values.map(value => String(value)).join(', ')
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap(branch => branch.map(expected)))].filter(Boolean).join(' or ')
    case 'too_small':
      if (issue.origin === 'string') return 'a text that is not empty'
      return issue.origin === 'array' ? 'one value at the least' : `at least ${issue.minimum}`
    case 'too_big':
      return `at most ${issue.maximum}`
    case 'custom':
      return issue.message.startsWith('expected ') ? issue.message.slice('expected '.length) : ''
    default:
      return ''
  }
}

function at(value: unknown, path: Path): unknown {
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}

/** The keys a schema knows at a path: for suggestions. */
export function keysAt(schema: unknown, path: Path): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable)
    return keysAt(schema.unwrap(), path)
  if (schema instanceof z.ZodPipe) return keysAt(schema.in, path)
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(option => keysAt(option, path))
  const [first, ...rest] = path
  if (schema instanceof z.ZodObject) {
    if (first === undefined) return Object.keys(schema.shape)
    return keysAt(schema.shape[first] ?? schema.def.catchall, rest)
  }
  if (schema instanceof z.ZodRecord && first !== undefined) return keysAt(schema.valueType, rest)
  if (schema instanceof z.ZodArray && first !== undefined) return keysAt(schema.element, rest)
  return []
}
