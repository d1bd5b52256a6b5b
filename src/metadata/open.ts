import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { Metadata } from './metadata.ts'
import { Sqlite } from './sqlite.ts'

const fileIn = (home: string) => join(home, 'metadata.db')

/** Whether there is a store to read: opening one makes it. */
export const hasMetadata = (home: string, url: string | undefined): boolean =>
  Boolean(url) || existsSync(fileIn(home))

/** The store at METADATA_URL (Postgres, for several machines), or else the SQLite file `metadata.db` in `home`. */
export async function openMetadata(home: string, clock: Clock, url: string | undefined): Promise<Metadata> {
  if (!url) {
    const metadata = await Metadata.open(new Sqlite(fileIn(home)), clock)
    try {
      await metadata.leases.endEarlier()
      return metadata
    } catch (error) {
      await metadata.close()
      throw error
    }
  }
  // Loaded where it is needed: it costs a start of the command line more than SQLite's whole work.
  const { Postgres } = await import('./postgres.ts')
  return Metadata.open(new Postgres(url), clock)
}
