import { crc32 } from 'node:zlib'
import { fromBufferPromise, openPromise, type Entry as ZipEntry, type ZipFile } from 'yauzl'
import { badFile } from './bad.ts'
import { checkSize, type UnpackLimits } from './compression.ts'

/** One file of a zip archive. Nothing is ever written under its name. */
export interface Member {
  name: string
  bytes(): AsyncGenerator<Buffer>
}

/**
 * The files of a zip archive (its path, or its bytes), in their order. Those that systems add are
 * passed over, unless `all`. Fails with a bad file as soon as one is found cut or false.
 */
export async function* zipMembers(
  where: string,
  archive: string | Buffer,
  limits: UnpackLimits,
  all = false,
): AsyncGenerator<Member> {
  let zip: ZipFile
  try {
    const options = { autoClose: false, lazyEntries: true, strictFileNames: false }
    zip = await (typeof archive === 'string'
      ? openPromise(archive, options)
      : fromBufferPromise(archive, options))
  } catch (cause) {
    throw badFile(where, `is not whole zip: ${(cause as Error).message}`, cause)
  }
  let total = 0
  const unpacked = (size: number) => {
    total += size
    checkSize(where, total, limits.most)
    if (total > 16 * 1024 * 1024 && total > zip.fileSize * limits.ratio)
      throw badFile(where, `unpacks to over ${limits.ratio} times its size (max_ratio): a bomb?`)
  }
  try {
    const entries = zip.eachEntry()
    for (;;) {
      const next = await entries.next().catch((cause: Error) => {
        throw badFile(where, `is not whole zip: ${cause.message}`, cause)
      })
      if (next.done) return
      const entry = next.value
      if (entry.fileName.endsWith('/') || (!all && isSystems(entry.fileName))) continue
      yield { name: entry.fileName, bytes: () => memberBytes(where, zip, entry, unpacked) }
    }
  } finally {
    zip.close()
  }
}

/** Files that a Mac's Finder and other systems add unasked: `__MACOSX/._b.csv`, `.DS_Store`. */
function isSystems(name: string): boolean {
  return name.split('/').some(step => step === '__MACOSX' || (step.startsWith('.') && !/^\.+$/.test(step)))
}

async function* memberBytes(
  where: string,
  zip: ZipFile,
  entry: ZipEntry,
  unpacked: (size: number) => void,
): AsyncGenerator<Buffer> {
  let sum = 0
  const broken = (cause: unknown) =>
    badFile(where, `${entry.fileName}: is not whole zip: ${(cause as Error).message}`, cause)
  if (entry.isEncrypted()) throw badFile(where, `${entry.fileName} is encrypted`)
  const stream = await zip.openReadStreamPromise(entry).catch(cause => {
    throw broken(cause)
  })
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  try {
    for (;;) {
      const next = await chunks.next().catch(cause => {
        throw broken(cause)
      })
      if (next.done) break
      unpacked(next.value.length)
      sum = crc32(next.value, sum)
      yield next.value
    }
  } finally {
    stream.destroy()
  }
  if (sum !== entry.crc32) throw broken(new Error('its checksum is wrong'))
}
