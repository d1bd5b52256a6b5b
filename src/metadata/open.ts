import { join } from 'node:path'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { Metadata } from './metadata.ts'
import { Sqlite } from './sqlite.ts'

/** The store at METADATA_URL (Postgres, for several machines), or else the SQLite file `metadata.db` in `home`. */
export async function openMetadata(home: string, clock: Clock, url: string | undefined): Promise<Metadata> {
  if (!url) return Metadata.open(new Sqlite(join(home, 'metadata.db')), clock)
  // Loaded where it is needed: it costs a start of the command line more than SQLite's whole work.
  const { Postgres } = await import('./postgres.ts')
  return Metadata.open(new Postgres(url), clock)
}
