import type { Source } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
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
  const connector = connectorFor(url)
  const config = connector.config.safeParse({ url })
  if (!config.success) throw new EngineError('CONFIG_INVALID', `SRC: ${config.error.issues[0]!.message}`)
  const source = connector.source!(config.data as never, { name: 'source', baseDir: process.cwd() })
  return { connector, source }
}
