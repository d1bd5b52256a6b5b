import { z } from 'zod'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { selection } from '../wire/selectionKeys.ts'
import { type DatabaseSettings, databaseSettings, type TlsParameters, urlOf } from '../wire/settings.ts'
import { size } from '../wire/size.ts'
import { type Access, placeOf } from './connect.ts'
import { diagnose } from './diagnose.ts'
import { madeType } from './merge.ts'
import { PostgresSource } from './source.ts'
import { PostgresTarget } from './target.ts'
import { transportOf } from './transport.ts'
import { TYPES } from './types.ts'

const TLS: TlsParameters = {
  mode: 'sslmode',
  verified: 'verify-full',
  ca: 'sslrootcert',
  cert: 'sslcert',
  key: 'sslkey',
}

/** Postgres: read through COPY BINARY in one exported snapshot, loaded through COPY BINARY and one transaction. */
export const postgres = defineConnector({
  name: 'postgres',
  schemes: ['postgres', 'postgresql'],
  config: databaseSettings('postgres://user@host:5432/database').safeExtend({
    /** What the server may keep of its log for a job: beyond it `serve` drops the job's slot. */
    max_kept_log: size.optional(),
  }),
  extract: z.strictObject({
    row_security: z.enum(['refuse', 'filter']).default('refuse'),
    ...selection,
  }),
  capabilities: {
    source: true,
    target: true,
    incremental: true,
    keys: true,
    changes: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
    partitions: true,
    nesting: 'arrays',
    indexes: true,
    foreignKeys: true,
    pooled: true,
    fits: true,
  },
  types: TYPES,
  targetType: madeType,
  place: (settings, { baseDir }) => placeOf(urlOf(settings, baseDir, TLS)),
  check: (settings, { name, baseDir }) => void transportOf(urlOf(settings, baseDir, TLS), name),
  diagnose: (settings, { name, baseDir }, needs, signal) =>
    diagnose({ name, url: urlOf(settings, baseDir, TLS) }, needs, signal),
  source: (settings, context) => new PostgresSource(accessOf(settings, context)),
  target: (settings, context) => new PostgresTarget(accessOf(settings, context)),
})

function accessOf(
  settings: DatabaseSettings & { max_kept_log?: number | undefined },
  { name, baseDir, timeouts }: ConnectionContext,
): Access {
  const maxKeptLog = settings.max_kept_log
  return {
    name,
    url: urlOf(settings, baseDir, TLS),
    ...(timeouts && { timeouts }),
    ...(maxKeptLog !== undefined && { maxKeptLog }),
  }
}
