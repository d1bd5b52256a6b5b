import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Part } from '../contracts/staging.ts'

/** Bytes read at a time: a fraction of a millisecond of this thread's time, and of the processor's cache. */
const BLOCK = 1 << 20

/** Blocks that nobody reads into: megabytes made anew for each file are collected all the time. */
const idle: Buffer[] = []

const takeBlock = (): Buffer => idle.pop() ?? Buffer.allocUnsafeSlow(BLOCK)

/** The checksum of a staged file's bytes. */
export const checksumOf = (bytes: Uint8Array): number => crc32(bytes)

/** The same of a file as it lies, staged or a lake's. */
export async function fileChecksum(path: string): Promise<number> {
  const file = await open(path, 'r')
  const block = takeBlock()
  try {
    let checksum = 0
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length, null)
      if (bytesRead === 0) return checksum
      checksum = crc32(block.subarray(0, bytesRead), checksum)
    }
  } finally {
    idle.push(block)
    await file.close()
  }
}

/**
 * Whether parts below the staging root are others once more, byte by byte and in their order: as when a small table is read
 * again, and much faster to tell than by rows.
 */
export async function areSameParts(root: string, some: Part[], others: Part[]): Promise<boolean> {
  if (some.length !== others.length) return false
  const pairs = some.map((part, index) => [part, others[index]!] as const)
  const isLike = (a: Part, b: Part) =>
    a.bytes === b.bytes && a.checksum === b.checksum && a.checksum !== undefined
  if (!pairs.every(([a, b]) => isLike(a, b))) return false
  for (const [a, b] of pairs) if (!(await isSameFile(join(root, a.file), join(root, b.file)))) return false
  return true
}

/** Whether two files hold the same bytes. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  const files = [await open(one, 'r'), await open(other, 'r')] as const
  const blocks = [takeBlock(), takeBlock()] as const
  try {
    for (;;) {
      const [a, b] = [await files[0].read(blocks[0]), await files[1].read(blocks[1])]
      if (!blocks[0].subarray(0, a.bytesRead).equals(blocks[1].subarray(0, b.bytesRead))) return false
      if (a.bytesRead === 0) return true
    }
  } finally {
    idle.push(...blocks)
    for (const file of files) await file.close()
  }
}
