import { mkdirSync, rmSync } from 'node:fs'
import { createDatabase as createMariadb, startMariadb } from '../../src/demo/servers/mariadb.ts'
import { createDatabase as createPostgres, startPostgres } from '../../src/demo/servers/postgres.ts'
import type { RunningServer } from '../../src/demo/servers/process.ts'
import type { cleanUps } from '../measure.ts'
import { type Files, fillMariadb, fillPostgres, sql } from './data.ts'

/** The servers, and the rows in them. */
export interface Ground {
  dir: string
  files: Files
  mariadb: RunningServer & { source: string }
  postgres: RunningServer & { source: string }
}

/** Starts both servers and fills them. */
export async function openGround(
  dir: string,
  files: Files,
  clean: ReturnType<typeof cleanUps>,
): Promise<Ground> {
  const mariadb = await startMariadb({ dir, bufferPool: '2G' })
  clean.after(() => mariadb.stop())
  const postgres = await startPostgres({ dir })
  clean.after(() => postgres.stop())
  const sources = {
    mariadb: await createMariadb(mariadb, 'source'),
    postgres: await createPostgres(postgres, 'source'),
  }
  await fillMariadb(sources.mariadb, files)
  await fillPostgres(sources.postgres, files)
  return {
    dir,
    files,
    mariadb: { ...mariadb, source: sources.mariadb },
    postgres: { ...postgres, source: sources.postgres },
  }
}

export const drop = async ({ postgres }: Ground, database: string) =>
  void (await sql(postgres.url, `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`))

/** An empty folder. */
export function fresh(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
}
