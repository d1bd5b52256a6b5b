import { z } from 'zod'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { DROP_CAPABILITIES } from '../../drops/capabilities.ts'
import { dropOptions } from '../../drops/options.ts'
import { DropSource } from '../../drops/source.ts'
import { FILE_TYPES } from '../../formats/types.ts'
import { defineConnector } from '../declare/define.ts'
import { folderOf, LocalStore } from './store.ts'

/** Files of a folder on this machine as a source; a value that its declared type cannot hold is never rounded. */
export const local = defineConnector({
  name: 'local',
  schemes: ['file'],
  config: z.strictObject({ url: z.string().min(1) }),
  extract: dropOptions,
  capabilities: DROP_CAPABILITIES,
  declared: ({ schema }) => schema,
  types: FILE_TYPES,
  source: ({ url }, { name, baseDir, extracts }) =>
    new DropSource({
      module: moduleBeside(import.meta.url, 'lane'),
      access: { name, folder: folderOf(url, baseDir) },
      openStore: access => new LocalStore(access),
      extracts,
    }),
})
