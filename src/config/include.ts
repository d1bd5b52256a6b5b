import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import type { SecretContext } from '../secrets/provider.ts'
import { isMapping } from '../util/mapping.ts'
import { Document } from './document.ts'
import { ConfigInvalid } from './invalid.ts'
import { readYaml } from './yaml.ts'

/** A file that a job.yaml includes. */
export interface Included {
  /** From the job's folder: `../shared/shop.yaml`. */
  file: string
  text: string
}

/**
 * The files that a job.yaml includes, those that they include before them: of two that say the same, the later one's holds.
 * Fails with CONFIG_INVALID, and the line, where one cannot be read, includes itself, or is named in two orders.
 */
export function readIncluded(folder: string, yaml: string): Included[] {
  return included(folder, yaml, fault => {
    throw fault
  })
}

/** Those that can be read: for what is told of a job that cannot be used. */
export const readableIncluded = (folder: string, yaml: string): Included[] =>
  included(folder, yaml, () => undefined)

function included(folder: string, yaml: string, tell: (fault: ConfigInvalid) => void): Included[] {
  const found = new Map<string, Included>()
  const visit = (file: string, text: string, above: string[]): void => {
    const named: { path: string; whole: string }[] = []
    for (const { path, line, column, problem } of namesIn(text)) {
      const refuse = (message: string) =>
        tell(
          new ConfigInvalid([
            {
              file: join(folder, file),
              place: { line, column, end: column, excerpt: '' },
              message: `include: ${message}`,
            },
          ]),
        )
      if (problem !== undefined) {
        refuse(problem)
        continue
      }
      const whole = resolve(dirname(join(folder, file)), path)
      const before = named.at(-1)
      named.push({ path, whole })
      if (named.filter(each => each.whole === whole).length > 1) refuse(`${path} is named twice`)
      else if (above.includes(whole)) refuse(`${path} includes itself`)
      else if (found.has(whole)) {
        const order = [...found.keys()]
        if (before && order.indexOf(whole) < order.indexOf(before.whole))
          refuse(`${path} would hold over ${before.path}, which includes it: name it before, or leave it out`)
      } else {
        const read = textOf(whole)
        if (read === undefined) {
          refuse(`${path} cannot be read; its path starts at the folder of this file`)
          continue
        }
        const name = relative(folder, whole)
        visit(name, read, [...above, whole])
        found.set(whole, { file: name, text: read })
      }
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
function namesIn(text: string): { path: string; line: number; column: number; problem?: string }[] {
  const { root, lines, isBroken } = readYaml(text)
  const said = root.entries?.get('include')?.node
  if (isBroken || !said) return []
  return (said.items ?? [said]).flatMap(({ at = 0, scalar: path, items, entries }) => {
    if (path === null) return []
    const { line, col } = lines.linePos(at)
    const place = { line, column: col }
    if (items || entries || typeof path !== 'string')
      return [{ path: '', ...place, problem: 'expected a file, or a list of files: [../shared/shop.yaml]' }]
    const problem = `${path} takes its place from a variable, but what a job is made of is the same everywhere: write the path itself`
    return [{ path, ...place, ...(path.includes('${') && { problem }) }]
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
    if (!isMapping(other.value))
      other.problem(
        [],
        `an included file holds keys, as job.yaml does: vars: { region: emea }; found ${Array.isArray(other.value) ? 'a list' : other.value === null ? 'nothing' : 'a text'}`,
      )
    else if (Object.hasOwn(other.value, 'job'))
      other.problem(['job'], 'job: each job has a name of its own: write it in job.yaml', 'key')
    other.throwIfAny()
    document.include(other)
  }
  return document
}
