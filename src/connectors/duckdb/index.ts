import { isAbsolute, join } from 'node:path'
import { z } from 'zod'
import { seenType } from '../../../engine/types/duckType.ts'
import { realPathOf } from '../../util/folder.ts'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { DuckdbTarget } from './target.ts'

/** A DuckDB file as warehouse. */
export const duckdb = defineConnector({
  name: 'duckdb',
  schemes: ['duckdb'],
  /** `duckdb:///absolute/path.duckdb`, or `duckdb:path.duckdb` relative to the job's folder. */
  config: z.strictObject({ url: z.string() }),
  extract: z.strictObject({}),
  capabilities: {
    source: false,
    target: true,
    incremental: false,
    fits: true,
    indexes: true,
    exclusive: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
  },
  types: [],
  targetType: seenType,
  place: (config, context) => `file:${realPathOf(pathOf(config, context))}`,
  target: (config, context) => new DuckdbTarget(pathOf(config, context), context.name),
})

function pathOf({ url }: { url: string }, { baseDir }: ConnectionContext): string {
  const path = decodeURIComponent(url.replace(/^duckdb:(\/\/)?/, ''))
  return isAbsolute(path) ? path : join(baseDir, path)
}
