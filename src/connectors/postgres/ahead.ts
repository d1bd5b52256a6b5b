import type { RowSum } from '../../../engine/batch/rowSum.ts'
import type { AheadRequest, StageRequest } from '../../../engine/contracts/load.ts'
import type { TargetSession } from './session.ts'
import { CopyQueue, makeStaging } from './staging.ts'

/** A table that a load will make, filled while the rows are still being read. */
export class StagedAhead {
  readonly loadId: string
  private readonly session: TargetSession
  private readonly own: string[]
  private readonly table: string
  private readonly queue: CopyQueue
  private readonly added = new Set<string>()

  /** `own`: the columns of the table that its rows are to become. */
  static async begin(
    session: TargetSession,
    request: AheadRequest,
    own: string[],
    signal: AbortSignal,
  ): Promise<StagedAhead> {
    const { rows } = await makeStaging(session, request, own, signal)
    const where = `${session.access.name}.${request.load.table}`
    const queue = new CopyQueue(session.access, rows, { ...request, where, progress() {} }, signal)
    return new StagedAhead(session, request.loadId, own, rows.table, queue)
  }

  private constructor(
    session: TargetSession,
    loadId: string,
    own: string[],
    table: string,
    queue: CopyQueue,
  ) {
    this.session = session
    this.loadId = loadId
    this.own = own
    this.table = table
    this.queue = queue
  }

  readonly add = (paths: string[]): void => {
    for (const path of paths) this.added.add(path)
    this.queue.add(paths)
  }

  /** The sum of the rows sent, where they are all of the request's, and lie as it would put them; undefined otherwise. */
  async takeOver(request: StageRequest, own: string[] | undefined): Promise<RowSum | undefined> {
    const same =
      own?.join() === this.own.join() &&
      request.keys === 0 &&
      request.paths.length === this.added.size &&
      request.paths.every(path => this.added.has(path))
    if (!same) {
      await this.queue.cancel()
      return undefined
    }
    try {
      const sum = await this.queue.end()
      const { rows } = await this.session.query('SELECT to_regclass($1) AS oid', [this.table])
      if (sum.rows !== request.rows || rows[0]!.oid === null) return undefined
      request.progress(sum.rows)
      return sum
    } catch {
      // The load meets what is in its way itself, and says so.
      return undefined
    }
  }

  cancel(): Promise<void> {
    return this.queue.cancel()
  }
}
