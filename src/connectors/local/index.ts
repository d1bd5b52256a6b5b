import { z } from 'zod'
import { declaredSchema } from '../declared.ts'
import { defineConnector } from '../define.ts'
import { LocalSource } from './source.ts'
import { TYPES } from './types.ts'

/** Keys of an extract that files of a folder hold. */
export const options = z.strictObject({
  /** Glob below the folder: `*corrections*.csv`. */
  files: z.string().min(1),
  format: z.enum(['csv']).default('csv'),
  delimiter: z.string().length(1).default(','),
  /** Whether the first line names the columns; without it they come in the order of the schema. */
  header: z.boolean().default(true),
  schema: declaredSchema,
})

/** Files of a folder on this machine as a source; a value that its declared type cannot hold is never rounded. */
export const local = defineConnector({
  name: 'local',
  schemes: ['file'],
  config: z.strictObject({ url: z.string().min(1) }),
  extract: options,
  capabilities: {
    source: true,
    target: false,
    snapshot: false,
    parallel: true,
    incremental: false,
    modes: [],
  },
  types: TYPES,
  source: ({ url }, context) => new LocalSource(context.name, url, context.baseDir),
})
