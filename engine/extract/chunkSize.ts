/** Batches that a chunk should fill: enough that the question is cheap beside the answer. */
const BATCHES = 4

/**
 * How many rows a lane reads at a time. In rows `least` and `most`, in bytes what fills a few batches, by the bytes
 * per row that the table's statistics promise and the chunks read so far had.
 */
export class ChunkSize {
  private readonly least: number
  private readonly most: number
  private readonly bytes: number
  private bytesPerRow: number | undefined

  /** `batch` in bytes; `bytesPerRow` undefined where nothing is known. */
  constructor(limits: { least: number; most: number; batch: number; bytesPerRow: number | undefined }) {
    this.least = limits.least
    this.most = limits.most
    this.bytes = limits.batch * BATCHES
    this.bytesPerRow = limits.bytesPerRow
  }

  /** Notes what a chunk held. The latest counts for half, so that one odd chunk does not decide. */
  saw(rows: number, bytes: number): void {
    if (rows === 0) return
    const seen = bytes / rows
    this.bytesPerRow = this.bytesPerRow === undefined ? seen : (this.bytesPerRow + seen) / 2
  }

  /**
   * Rows of the next chunk. Towards the end chunks get smaller, so that no lane reads on alone: each takes half its
   * share of the estimated rows that are left.
   */
  next(remaining: number, lanes: number): number {
    const { least, most, bytes, bytesPerRow } = this
    const full = bytesPerRow === undefined ? least : bytes / Math.max(1, bytesPerRow)
    const share = lanes > 1 ? remaining / (2 * lanes) : Infinity
    return Math.floor(Math.max(least, Math.min(most, full, share)))
  }
}
