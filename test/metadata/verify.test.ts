import assert from 'node:assert/strict'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'

const home = mkdtempSync(join(tmpdir(), 'nightfreight-verify-'))
after(() => rmSync(home, { recursive: true, force: true }))
const PAGE = 4096

/** A store whose every page is in its file, and was read. */
async function read(name: string): Promise<{ store: Metadata; file: string }> {
  const folder = join(home, name)
  const store = await openMetadata(folder, { now: () => new Date() }, undefined)
  const { database } = store
  for (let i = 0; i < 300; i++)
    await database.run(
      'INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, :name, 1, :name)',
      {
        name: `${'x'.repeat(200)}${i}`,
      },
    )
  await database.all('PRAGMA wal_checkpoint(TRUNCATE)')
  await database.all('PRAGMA quick_check')
  await database.verify?.()
  return { store, file: join(folder, 'metadata.db') }
}

test('a store that a process knows by heart is read anew: any page of it that is none is found', async () => {
  const { store, file } = await read('page')
  const pages = statSync(file).size / PAGE
  assert.ok(pages > 30, `${pages} pages`)
  const fd = openSync(file, 'r+')
  const bytes = readFileSync(file)
  for (let page = 0; page < pages; page++) {
    writeSync(fd, Buffer.alloc(PAGE, 0xa5), 0, PAGE, page * PAGE)
    await assert.rejects(store.database.verify!(), { code: 'METADATA_CORRUPT' }, `page ${page}`)
    writeSync(fd, bytes, page * PAGE, PAGE, page * PAGE)
  }
  closeSync(fd)
  await store.database.verify!()
  await store.close()
})

test('one that is cut off is found', async () => {
  const { store, file } = await read('cut')
  truncateSync(file, statSync(file).size - PAGE)
  await assert.rejects(store.database.verify!(), { code: 'METADATA_CORRUPT', message: /metadata\.db: \S/ })
  await store.close().catch(() => {})
})
