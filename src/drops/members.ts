import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Format, formatByName } from '../formats/byName.ts'
import { compressionOf, unpack } from '../formats/compression.ts'
import { zipMembers } from '../formats/zip.ts'
import type { Taken } from './cursor.ts'
import type { DropOptions } from './options.ts'
import { shown } from './select.ts'
import type { DropStore } from './store.ts'

/** One unpacked file. */
export interface Unpacked {
  /** For messages: `drops a.zip b.csv`. */
  where: string
  name: string
  format: Format
  bytes(): AsyncGenerator<Buffer>
  /** Path of the unpacked bytes on this machine, until the next one. */
  path(): Promise<string>
}

/** The unpacked files that a file holds: itself, or those of a zip archive. */
export async function* membersOf(
  { store, folder }: { store: DropStore; folder: string },
  options: DropOptions,
  file: Taken,
  bytes: () => AsyncGenerator<Buffer>,
): AsyncGenerator<Unpacked> {
  const where = `${store.name} ${shown(file.name)}`
  const limits = { most: options.max_unpacked, ratio: options.max_ratio }
  const compression = options.compression === 'auto' ? compressionOf(file.name) : options.compression
  const stored = async (name: string, content: AsyncGenerator<Buffer>) => {
    const path = join(folder, name)
    await mkdir(folder, { recursive: true })
    await pipeline(content, createWriteStream(path))
    return path
  }
  const onDisk = async () => store.path?.(file) ?? stored('packed', bytes())
  if (compression !== 'zip') {
    const unpacked = () => unpack(where, bytes(), compression, limits)
    const path = () => (compression === 'none' ? onDisk() : stored('unpacked', unpacked()))
    const format = options.format ?? formatByName(file.name)
    yield { where, name: shown(file.name), format, bytes: unpacked, path }
    return
  }
  for await (const member of zipMembers(where, await onDisk(), limits)) {
    const path = () => stored('member', member.bytes())
    const named = `${shown(file.name)} ${shown(member.name)}`
    const format = options.format ?? formatByName(member.name)
    yield { where: `${store.name} ${named}`, name: named, format, bytes: member.bytes, path }
  }
}
