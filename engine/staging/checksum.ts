import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

/** Bytes read at a time: few milliseconds of this thread's time. */
const BLOCK = 4 << 20

/** The checksum of a staged file's bytes. */
export const checksumOf = (bytes: Uint8Array): number => crc32(bytes)

/** The same of a file as it lies. */
export async function fileChecksum(path: string): Promise<number> {
  const file = await open(path, 'r')
  try {
    // No more than the file and a byte, which finds its end: whole blocks for many small files are collected all the time.
    const { size } = await file.stat()
    const block = Buffer.allocUnsafe(Math.min(BLOCK, size + 1))
    let checksum = 0
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length, null)
      if (bytesRead === 0) return checksum
      checksum = crc32(block.subarray(0, bytesRead), checksum)
    }
  } finally {
    await file.close()
  }
}
