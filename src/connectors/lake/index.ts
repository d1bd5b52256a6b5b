import { resolve } from 'node:path'
import { z } from 'zod'
import { typeName } from '../../../engine/types/logical.ts'
import { openStore, type StoreLocation } from '../../stores/open.ts'
import { s3Access, s3Options } from '../../stores/s3/settings.ts'
import { realPathOf } from '../../util/folder.ts'
import { parseBytes } from '../../util/units.ts'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { LakeSource } from './source.ts'
import { LakeTarget } from './target.ts'
import { TYPES } from './types.ts'

const lakeConfig = z
  .strictObject({
    /** `lake:///absolute/folder`, `lake:folder` relative to the job's folder, or `lake:s3://bucket/prefix`. */
    url: z
      .string()
      .regex(
        /^lake:(s3:\/\/[^/@:]+(\/.*)?$|\/\/\/.+|(?!\/\/|s3:).+)/i,
        'a lake is lake:///absolute/folder, lake:folder or lake:s3://bucket/prefix',
      ),
    compression: z.enum(['zstd', 'snappy', 'gzip']).default('zstd'),
    /** Of zstd, 1 to 22. */
    level: z.int().min(1).max(22).optional(),
    target_file_size: z
      .string()
      .default('128MB')
      .refine(text => parseBytes(text) !== undefined, { error: 'expected a size such as 128MB' }),
    ...s3Options.shape,
  })
  .refine(({ compression, level }) => level === undefined || compression === 'zstd', {
    path: ['level'],
    error: 'expected compression: zstd, the only one with levels',
  })

/** Tables as partitioned Parquet files in a folder or a bucket, each version of which is seen whole. */
export const lake = defineConnector({
  name: 'lake',
  schemes: ['lake'],
  config: lakeConfig,
  extract: z.strictObject({
    table: z.string().min(1),
    /** Number of a commit of the lake. */
    version: z.int().min(1).optional(),
    /** The newest commit of this time or before. */
    as_of: z.iso.datetime({ offset: true }).optional(),
  }),
  capabilities: {
    source: true,
    target: true,
    incremental: true,
    keys: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
  },
  types: TYPES,
  targetType: ({ type }) => typeName(type),
  place: (config, context) => {
    const location = locationOf(config, context)
    if ('folder' in location) return `file:${realPathOf(location.folder)}`
    const { endpoint = '', bucket, prefix } = location.s3
    return `s3:${endpoint}:${bucket}${prefix ? `/${prefix}` : ''}`
  },
  check: (config, context) => void locationOf(config, context),
  source: (config, context) => new LakeSource(locationOf(config, context), context.name),
  target: (config, context) =>
    new LakeTarget(
      openStore(locationOf(config, context)),
      context.name,
      {
        compression: config.compression,
        level: config.level,
        target: parseBytes(config.target_file_size)!,
      },
      context.memory,
    ),
})

function locationOf(config: z.infer<typeof lakeConfig>, { name, baseDir }: ConnectionContext): StoreLocation {
  const location = config.url.replace(/^lake:/i, '')
  return /^s3:/i.test(location)
    ? { s3: s3Access({ ...config, url: location }, name, baseDir) }
    : { folder: resolve(baseDir, decodeURIComponent(location.replace(/^\/\//, ''))) }
}
