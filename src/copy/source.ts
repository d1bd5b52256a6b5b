import type { Source } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { encodingProblem } from '../config/connections.ts'
import { connectorFor } from '../connectors/index.ts'
import { DropSource } from '../drops/source.ts'

/** A source by its URL alone, which lists its tables; `parse`: reads an extract's own keys. Fails with CONFIG_INVALID. */
export function openSource(url: string): { source: Source; parse: (extract: object) => unknown } {
  const { connector, source } = open(url)
  if (!source.tables)
    throw new EngineError('CONFIG_INVALID', `SRC: ${connector.name} does not list its tables`, {
      hint: 'Write a job that names them: see queries/README.md.',
    })
  return { source, parse: extract => connector.extract.parse(extract) }
}

/** Files by the URL of their folder. */
export function openFiles(url: string): DropSource<unknown> {
  const { connector, source } = open(url)
  if (source instanceof DropSource) return source
  throw new EngineError('CONFIG_INVALID', `SRC: ${connector.name} has no files`)
}

function open(url: string) {
  const { connector, config, context } = readUrl('SRC', url)
  return { connector, source: connector.source!(config as never, context) }
}

/** Reads the URL of an end. Fails with CONFIG_INVALID where it cannot work, and never shows it: it may hold a password. */
export function readUrl(end: 'SRC' | 'DST', url: string) {
  const connector = connectorFor(url)
  const context = { name: end, baseDir: process.cwd() }
  const { data, error } = connector.config.safeParse({ url })
  const problem = encodingProblem(url) ?? error?.issues[0]?.message
  if (problem !== undefined) throw new EngineError('CONFIG_INVALID', `${end}: ${problem}`)
  connector.check?.(data as never, context)
  return { connector, config: data, context }
}
