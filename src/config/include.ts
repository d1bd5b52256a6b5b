import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { SecretContext } from '../secrets/provider.ts'
import { isMapping } from '../util/mapping.ts'
import { Document } from './document.ts'
import { ConfigInvalid } from './invalid.ts'
import { unveil, veil } from './variables.ts'

/** A file that a job.yaml includes. */
export interface Included {
  /** From the job's folder: `../shared/shop.yaml`. */
  file: string
  text: string
}

/**
 * The files that a job.yaml includes, those that they include before them: of two that say the same, the later one's holds.
 * Fails with CONFIG_INVALID, and the line, where one cannot be read or includes itself.
 */
export function readIncluded(folder: string, yaml: string): Included[] {
  const found = new Map<string, Included>()
  const visit = (file: string, text: string, above: string[]): void => {
    for (const { path, line, column } of namesIn(text)) {
      const whole = resolve(dirname(join(folder, file)), path)
      const refuse = (message: string) =>
        new ConfigInvalid([
          {
            file: join(folder, file),
            place: { line, column, end: column, excerpt: '' },
            message: `include: ${path} ${message}`,
          },
        ])
      if (above.includes(whole)) throw refuse('includes itself')
      if (found.has(whole)) continue
      const name = relative(folder, whole)
      const included = textOf(whole)
      if (included === undefined) throw refuse('cannot be read; its path starts at the folder of this file')
      visit(name, included, [...above, whole])
      found.set(whole, { file: name, text: included })
    }
  }
  visit('job.yaml', yaml, [resolve(folder, 'job.yaml')])
  return [...found.values()]
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** What a text includes; nothing where it is no YAML, which is for whoever opens it to say. */
function namesIn(text: string): { path: string; line: number; column: number }[] {
  const lines = new LineCounter()
  const parsed = parseDocument(veil(text), { lineCounter: lines, prettyErrors: false })
  if (parsed.errors.length > 0 || !parsed.has('include')) return []
  const node = parsed.get('include', true)
  return (isSeq(node) ? node.items : [node]).flatMap(item => {
    if (!isScalar(item) || typeof item.value !== 'string') return []
    const { line, col } = lines.linePos(item.range?.[0] ?? 0)
    return [{ path: unveil(item.value), line, column: col }]
  })
}

/** A job.yaml with what it includes below what it says itself. Fails as {@link Document.open} does. */
export async function openJob(
  folder: string,
  { yaml, included }: { yaml: string; included: Included[] },
  context?: SecretContext,
): Promise<Document> {
  const document = await Document.open(join(folder, 'job.yaml'), yaml, context)
  for (const { file, text } of included.toReversed()) {
    const other = await Document.open(join(folder, file), text, context)
    if (isMapping(other.value) && Object.hasOwn(other.value, 'job'))
      other.problem(['job'], 'job: each job has a name of its own: write it in job.yaml', 'key')
    other.throwIfAny()
    document.include(other)
  }
  return document
}
