import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { openStore, type StoreLocation } from '../../src/stores/open.ts'
import type { FileStore } from '../../src/stores/store.ts'
import { startS3 } from '../s3.ts'

/** A lake of a test, wherever it is. */
export interface Shelf {
  place: StoreLocation
  store(): FileStore
  /** Paths of its files that match, sorted. */
  names(match?: RegExp): Promise<string[]>
  get(path: string): Promise<Buffer>
  put(path: string, bytes: Uint8Array | string): Promise<void>
  remove(path: string): Promise<void>
  /** A folder of this machine with all of its files as they are now. */
  mirror(): Promise<string>
  clear(): Promise<void>
  /** Another lake with the same files. */
  copy(): Promise<Shelf>
  /** Makes a file or folder as old as that; undefined where the store keeps its own times. */
  age?(path: string, modified: Date): void
}

/** `LAKE=s3` puts the lakes of the test files on S3: see `lakeS3.test.ts`. */
export const onS3 = process.env.LAKE === 's3'
/** A child process gets its parent's server. */
const server = onS3 && !process.env.LAKE_S3 ? await startS3() : undefined
if (server) {
  after(() => server.stop())
  process.env.LAKE_S3 = server.endpoint
  await server.bucket('lake')
}
let shelves = 0

/** A new lake below a folder of the test's. */
export function newShelf(folder: string): Shelf {
  // A name that is no pattern, and needs quotes.
  const name = `lake [${shelves++}]'s *`
  if (!onS3) return folderShelf(join(folder, name))
  return s3Shelf(`${randomUUID()}/${name}`)
}

/** The lake of a place. */
export const shelfAt = (place: StoreLocation): Shelf =>
  'folder' in place ? folderShelf(place.folder) : s3Shelf(place.s3.prefix)

function s3Shelf(prefix: string): Shelf {
  const s3 = {
    name: 'lake',
    bucket: 'lake',
    prefix,
    region: 'us-east-1',
    endpoint: process.env.LAKE_S3!,
    pathStyle: true,
    accessKey: 'test',
    secretKey: 'test',
    timeout: 30,
  }
  return shelfOf({ s3 }, () => s3Shelf(randomUUID()))
}

function folderShelf(folder: string): Shelf {
  return {
    ...shelfOf({ folder }, () => folderShelf(`${folder}-${randomUUID()}`)),
    mirror: async () => folder,
    age: (path, modified) => utimesSync(join(folder, path), modified, modified),
  }
}

function shelfOf(place: StoreLocation, another: () => Shelf): Shelf {
  const store = openStore(place)
  const put = async (path: string, bytes: Uint8Array | string) => {
    const file = join(temporary(), 'bytes')
    writeFileSync(file, bytes)
    await store.putFile(path, file)
  }
  const names = async (match = /^/) =>
    (await store.list('.'))
      .map(({ path }) => path)
      .filter(path => match.test(path))
      .sort()
  const get = async (path: string) => (await store.get(path))!
  return {
    place,
    store: () => openStore(place),
    names,
    get,
    put,
    remove: path => store.delete(path),
    async mirror() {
      const folder = temporary()
      for (const path of await names()) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), await get(path))
      }
      return folder
    },
    async clear() {
      for (const path of await names()) await store.delete(path)
    },
    async copy() {
      const other = another()
      for (const path of await names()) await other.put(path, await get(path))
      return other
    },
  }
}

const top = mkdtempSync(join(tmpdir(), 'nightfreight-shelves-'))
after(() => rmSync(top, { recursive: true, force: true }))
const temporary = () => mkdtempSync(join(top, 'm-'))
