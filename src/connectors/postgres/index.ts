import { z } from 'zod'
import { defineConnector } from '../declare/define.ts'
import { stagingType } from './merge.ts'
import { PostgresSource } from './source.ts'
import { PostgresTarget } from './target.ts'
import { TYPES } from './types.ts'

/** Postgres: read through COPY BINARY in one exported snapshot, loaded through COPY BINARY and one transaction. */
export const postgres = defineConnector({
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  config: z.strictObject({
    // Without the slashes all of it, the password too, would be the database's name.
    url: z
      .string()
      .refine(url => /^\w+:\/\//.test(url), 'expected a URL such as postgres://user@host:5432/database'),
  }),
  extract: z.strictObject({
    table: z.string().min(1),
    row_security: z.enum(['refuse', 'filter']).default('refuse'),
  }),
  capabilities: {
    source: true,
    target: true,
    snapshot: true,
    parallel: true,
    incremental: true,
    keys: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
    partitions: true,
    fits: true,
  },
  types: TYPES,
  targetType: stagingType,
  source: ({ url }, { name }) => new PostgresSource({ name, url }),
  target: ({ url }, { name }) => new PostgresTarget({ name, url }),
})
