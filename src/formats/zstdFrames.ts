import { badFile } from './bad.ts'

const FRAME = 0xfd2fb528
/** Frames of any content that readers pass over: 16 magic numbers. */
const SKIPPABLE = 0x184d2a50

type Part = 'magic' | 'length' | 'descriptor' | 'block' | 'checksum'
const BYTES: Record<Part, number> = { magic: 4, length: 4, descriptor: 1, block: 3, checksum: 4 }

/**
 * Follows the frames of a zstd file (RFC 8878, section 3) as its bytes go by: zlib's unpacker takes what is no frame
 * for the end of the file. Fails with a bad file where bytes are no frame, or the last frame is not whole.
 */
export class ZstdFrames {
  private readonly where: string
  private part: Part = 'magic'
  private held: number[] = []
  /** Bytes of content before the next part. */
  private skip = 0
  private checksum = false
  private at = 0
  private frame = 0
  private frames = 0

  constructor(where: string) {
    this.where = where
  }

  add(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      if (this.skip > 0) {
        const passed = Math.min(this.skip, chunk.length - from)
        this.skip -= passed
        this.at += passed
        from += passed
        continue
      }
      if (this.part === 'magic' && this.held.length === 0) this.frame = this.at
      this.held.push(chunk[from++]!)
      this.at++
      if (this.held.length === BYTES[this.part]) {
        const value = this.held.reduceRight((sum, byte) => sum * 256 + byte, 0)
        this.held = []
        this.enter(value)
      }
    }
  }

  end(): void {
    if (this.frames === 0 && this.at === 0) throw badFile(this.where, 'is not whole zstd: it has no byte')
    if (this.part !== 'magic' || this.held.length > 0 || this.skip > 0)
      throw badFile(
        this.where,
        `is not whole zstd: cut at byte ${this.at}, within the frame that begins at byte ${this.frame}`,
      )
  }

  private enter(value: number): void {
    switch (this.part) {
      case 'magic':
        if (value === FRAME) this.part = 'descriptor'
        else if (value - (value % 16) === SKIPPABLE) this.part = 'length'
        else throw badFile(this.where, `is not whole zstd: the bytes from ${this.frame} on are no frame`)
        this.frames++
        return
      case 'length':
        this.skip = value
        this.part = 'magic'
        return
      case 'descriptor': {
        const single = (value >> 5) & 1
        const size = value >> 6
        this.checksum = ((value >> 2) & 1) === 1
        this.skip = 1 - single + [0, 1, 2, 4][value & 3]! + (size === 0 ? single : 1 << size)
        this.part = 'block'
        return
      }
      case 'block': {
        const repeated = ((value >> 1) & 3) === 1
        this.skip = repeated ? 1 : value >> 3
        if (value % 2 === 1) this.part = this.checksum ? 'checksum' : 'magic'
        return
      }
      case 'checksum':
        this.part = 'magic'
    }
  }
}
