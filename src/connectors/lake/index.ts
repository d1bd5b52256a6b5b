import { resolve } from 'node:path'
import { z } from 'zod'
import { typeName } from '../../../engine/types/logical.ts'
import { parseBytes } from '../../config/units.ts'
import { defineConnector } from '../define.ts'
import { LocalStore } from './localStore.ts'
import { LakeSource } from './source.ts'
import { LakeTarget } from './target.ts'
import { TYPES } from './types.ts'

/** Tables as partitioned Parquet files in a folder, each version of which is seen whole. */
export const lake = defineConnector({
  name: 'lake',
  schemes: ['lake'],
  config: z.strictObject({
    /** `lake:///absolute/folder`, or `lake:folder` relative to the job's folder. */
    url: z.string().regex(/^lake:(\/\/\/|(?!\/\/)).+/i, 'a lake is lake:///absolute/folder or lake:folder'),
    compression: z.enum(['zstd', 'snappy', 'gzip']).default('zstd'),
    target_file_size: z
      .string()
      .default('128MB')
      .refine(text => parseBytes(text) !== undefined, { error: 'expected a size such as 128MB' }),
  }),
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
    snapshot: true,
    parallel: true,
    incremental: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
  },
  types: TYPES,
  targetType: typeName,
  source: ({ url }, { name, baseDir }) => {
    const root = rootOf(url, baseDir)
    return new LakeSource(new LocalStore(root), root, name)
  },
  target: ({ url, compression, target_file_size }, { name, baseDir }) =>
    new LakeTarget(new LocalStore(rootOf(url, baseDir)), name, {
      compression,
      target: parseBytes(target_file_size)!,
    }),
})

const rootOf = (url: string, baseDir: string) =>
  resolve(baseDir, decodeURIComponent(url.replace(/^lake:(\/\/)?/i, '')))
