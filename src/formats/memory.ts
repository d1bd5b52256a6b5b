import { EngineError } from '../../engine/errors.ts'
import { type Duck, isOutOfMemory } from '../../engine/sql/duckdb.ts'

/** What DuckDB's readers and its Parquet writer need at the least, with one thread. */
const LEAST = 96 * 1024 * 1024
/** One lane of the process at a time reads with more than its share. */
const LOCK = 'nightfreight: a large file'

/** The memory that a lane's DuckDB reads files with: its share; and for what takes more, what the lanes have together. */
export class ReadMemory {
  private readonly duck: Duck
  private readonly share: number
  private readonly most: number

  constructor(duck: Duck, { share = 0, most = 0 }: { share?: number; most?: number }) {
    this.duck = duck
    this.share = Math.max(LEAST, share)
    this.most = Math.max(this.share, most)
  }

  /** Runs `act`, and once more with more memory where it ran out of it; then fails with MEMORY_EXCEEDED and what to raise. */
  async run<Result>(where: string, act: () => Promise<Result>): Promise<Result> {
    try {
      await this.limit(this.share)
      return await act()
    } catch (error) {
      if (!isOutOfMemory(error)) throw error
    }
    return navigator.locks.request(LOCK, async () => {
      try {
        await this.limit(this.most)
        return await act()
      } catch (error) {
        if (!isOutOfMemory(error)) throw error
        throw new EngineError(
          'MEMORY_EXCEEDED',
          `${where}: takes more memory than ${Math.floor(this.most / 1e6)} MB, what the job's resources.memory leaves for it`,
          {
            cause: error,
            hint: 'Raise resources.memory of the job; the file is not at fault, and stays where it is.',
          },
        )
      } finally {
        await this.limit(this.share)
      }
    })
  }

  private limit(bytes: number): Promise<void> {
    return this.duck.run(`SET memory_limit = '${Math.floor(bytes / 1024)}KiB'`)
  }
}
