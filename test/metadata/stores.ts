import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe } from 'node:test'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Database } from '../../src/metadata/database.ts'
import { Metadata } from '../../src/metadata/metadata.ts'
import { Postgres } from '../../src/metadata/postgres.ts'
import { Sqlite } from '../../src/metadata/sqlite.ts'
import { freshPostgres } from '../servers.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-metadata-'))
const server = await freshPostgres()
const opened: { close(): Promise<void> }[] = []
// Before the database's own clean-up, which fails where connections are left.
const closeAll = async () => {
  for (const store of opened.splice(0)) await store.close()
  rmSync(folder, { recursive: true, force: true })
}

/** A place for a store: what a second process needs to open it, too. */
export interface Place {
  home: string
  url: string | undefined
  /** The store's database, its schema not touched; closed after the tests. */
  database(): Database
  open(clock?: Clock): Promise<Metadata>
}

let places = 0

function place(kind: 'sqlite' | 'postgres'): Place {
  const name = `store_${++places}`
  const home = join(folder, name)
  const url =
    kind === 'postgres' ? `${server.url}?options=${encodeURIComponent(`-c search_path=${name}`)}` : undefined
  const closing = <T extends { close(): Promise<void> }>(store: T): T => {
    opened.push(store)
    return store
  }
  const raw = () => (url ? new Postgres(url) : new Sqlite(join(home, 'metadata.db')))
  return {
    home,
    url,
    database: () => closing(raw()),
    open: async clock => closing(await Metadata.open(raw(), clock ?? { now: () => new Date() })),
  }
}

/** The same tests over both databases, each test with a place of its own. */
export function overBoth(tests: (fresh: () => Place, kind: 'sqlite' | 'postgres') => void): void {
  for (const kind of ['sqlite', 'postgres'] as const)
    describe(kind, () => {
      after(closeAll)
      tests(() => place(kind), kind)
    })
}

/** A clock that stands still until it is moved, in milliseconds. */
export function standing(at = '2026-03-01T02:00:00.000Z'): Clock & { move(by: number): void } {
  let now = Date.parse(at)
  return {
    now: () => new Date(now),
    move(by) {
      now += by
    },
  }
}
