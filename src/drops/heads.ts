import type { FileHead } from '../formats/dialect.ts'
import { membersOf } from './members.ts'
import type { DropOptions } from './options.ts'
import { readAll } from './ranged.ts'
import { goodFiles } from './select.ts'
import { Spool } from './spool.ts'
import type { DropStore } from './store.ts'

/** Unpacked bytes that are looked at of a file, and files that are looked at. */
const HEAD = 1024 * 1024
const FILES = 10

/** How the first files begin, in the order that a run reads them; of an archive, each file in it. */
export async function* headsOf(
  store: DropStore,
  options: DropOptions,
  signal: AbortSignal,
): AsyncGenerator<FileHead> {
  const files = await goodFiles(store, options, signal)
  const spool = new Spool()
  let left = FILES
  try {
    for (const file of files) {
      const members = membersOf({ store, folder: spool.folder }, options, file, () => readAll(store, file))
      for await (const { name, format, bytes } of members) {
        yield { name, format, ...(await beginning(bytes())) }
        if (--left === 0) return
      }
    }
  } finally {
    spool.remove()
  }
}

async function beginning(bytes: AsyncGenerator<Buffer>): Promise<Pick<FileHead, 'bytes' | 'isWhole'>> {
  const held: Buffer[] = []
  let length = 0
  for await (const chunk of bytes) {
    held.push(chunk)
    length += chunk.length
    if (length > HEAD) break
  }
  return { bytes: Buffer.concat(held, length).subarray(0, HEAD), isWhole: length <= HEAD }
}
