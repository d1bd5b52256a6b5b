import { moduleBeside } from '../../../engine/pool/entry.ts'
import { DROP_CAPABILITIES } from '../../drops/capabilities.ts'
import { dropOptions } from '../../drops/options.ts'
import { DropSource } from '../../drops/source.ts'
import { s3Access, s3Config } from '../../stores/s3/settings.ts'
import { defineConnector } from '../declare/define.ts'
import { S3Store } from './store.ts'

/** Files of an S3 bucket, Amazon's or any other's, as a source. */
export const s3 = defineConnector({
  name: 's3',
  schemes: ['s3'],
  config: s3Config,
  extract: dropOptions,
  capabilities: DROP_CAPABILITIES,
  declared: ({ schema }) => schema,
  types: [],
  check: (config, { name, baseDir }) => void s3Access(config, `connections.${name}`, baseDir),
  source: (config, { name, baseDir, extracts }) =>
    new DropSource({
      module: moduleBeside(import.meta.url, 'lane'),
      access: s3Access(config, name, baseDir),
      openStore: access => new S3Store(access),
      extracts,
    }),
})
