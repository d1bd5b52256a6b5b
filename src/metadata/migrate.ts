import { EngineError } from '../../engine/errors.ts'
import type { Migration } from './database.ts'

/** The migrations that a store of this version lacks. Fails with CONFIG_INVALID where a newer Nightfreight wrote it. */
export function pending(migrations: Migration[], version: number, store: string): Migration[] {
  if (version > migrations.length)
    throw new EngineError(
      'CONFIG_INVALID',
      `metadata store ${store}: a newer Nightfreight wrote it (version ${version}; this one knows ${migrations.length})`,
      { hint: 'Upgrade this installation.' },
    )
  return migrations.slice(version)
}
