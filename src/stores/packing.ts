import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline as pipe } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib'

export const PACKINGS = ['none', 'gzip', 'zstd'] as const

/** How whole files are packed on their way to a store, and how hard. */
export interface Packing {
  codec: (typeof PACKINGS)[number]
  /** gzip: 1 to 9; zstd: 1 to 22. */
  level?: number
}

const ENDINGS = { none: '', gzip: '.gz', zstd: '.zst' } as const

/** What a packed file's name ends in. */
export const endingOf = ({ codec }: Packing): string => ENDINGS[codec]

/** The name without the ending of a packing. */
export const plainName = (name: string): string => name.replace(/\.(gz|zst)$/, '')

/** A file's bytes, packed. */
export function packed(file: string, { codec, level }: Packing): AsyncIterable<Buffer> {
  const source = createReadStream(file, { highWaterMark: CHUNK })
  if (codec === 'none') return source
  const packer =
    codec === 'gzip'
      ? createGzip({ chunkSize: CHUNK, ...(level !== undefined && { level }) })
      : createZstdCompress({
          chunkSize: CHUNK,
          ...(level !== undefined && { params: { [constants.ZSTD_c_compressionLevel]: level } }),
        })
  // Whoever reads the packer sees what failed.
  return pipe(source, packer, () => {})
}

/** Writes the bytes of a packed file, by its name, to a file of this machine. */
export async function unpackTo(name: string, bytes: AsyncIterable<Buffer>, file: string): Promise<void> {
  const unpacker = name.endsWith('.gz')
    ? [createGunzip({ chunkSize: CHUNK })]
    : name.endsWith('.zst')
      ? [createZstdDecompress({ chunkSize: CHUNK })]
      : []
  await pipeline([bytes, ...unpacker, createWriteStream(file)])
}

const CHUNK = 1024 * 1024
