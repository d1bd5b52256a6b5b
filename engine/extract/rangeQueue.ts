import type { Range } from '../contracts/source.ts'

/** What an idle lane does next. */
export type Step<Result> =
  | { kind: 'read'; piece: RangeTask<Result> }
  | { kind: 'split'; piece: RangeTask<Result> }
  /** Nothing can be taken now, but what others are at may leave something. */
  | { kind: 'wait' }
  | { kind: 'done' }

/** A range on its way through the lanes. */
export interface RangeTask<Result> {
  readonly range: Range
  /** Reads of it that failed so far. */
  failures: number
  state: 'waiting' | 'reading' | 'splitting' | 'read'
  /** Whether a split is worth asking for. */
  divisible: boolean
  result?: Result
}

/**
 * Shares the ranges of one read out among lanes: who reads what, and what is split so that no lane is idle at the
 * end. Pure bookkeeping; the caller reads and splits, in any order, and says how it went.
 *
 * Pieces stand in the table's order throughout: what is read of one, and what is left of it, take its place. So the
 * results come in the table's order, however the lanes took turns.
 */
export class RangeQueue<Result> {
  private readonly pieces: RangeTask<Result>[]
  private readonly worth: number

  /** Ranges of `worth` estimated rows or fewer are not split. */
  constructor(ranges: Range[], worth: number) {
    this.worth = worth
    this.pieces = ranges.map(range => this.waiting(range))
  }

  /**
   * The next step of an idle lane, one of `lanes`: the largest range there is, so that all ranges end together; but
   * first a split where fewer ranges than lanes are waiting.
   */
  next(lanes: number): Step<Result> {
    const waiting = this.pieces.filter(({ state }) => state === 'waiting')
    if (waiting.length < lanes && lanes > 1) {
      const piece = largest(waiting.filter(({ divisible }) => divisible))
      if (piece) {
        piece.state = 'splitting'
        return { kind: 'split', piece }
      }
    }
    const piece = largest(waiting)
    if (piece) {
      piece.state = 'reading'
      return { kind: 'read', piece }
    }
    return { kind: this.pieces.some(({ state }) => state !== 'read') ? 'wait' : 'done' }
  }

  /** A chunk of the piece was read; `rest` is what is left of it. */
  read(piece: RangeTask<Result>, result: Result, rest: Range | undefined): void {
    piece.state = 'read'
    piece.result = result
    if (rest) this.pieces.splice(this.pieces.indexOf(piece) + 1, 0, this.waiting(rest))
  }

  /** The piece was not read: whoever comes next takes all of it again. */
  failed(piece: RangeTask<Result>): void {
    piece.state = 'waiting'
    piece.failures++
  }

  /** The piece was split; `halves` is undefined where that was not possible. */
  split(piece: RangeTask<Result>, halves: [Range, Range] | undefined): void {
    if (halves) this.pieces.splice(this.pieces.indexOf(piece), 1, ...halves.map(range => this.waiting(range)))
    else {
      piece.state = 'waiting'
      piece.divisible = false
    }
  }

  /** Estimated rows that no lane has begun to read; Infinity where a range has no estimate. */
  get remaining(): number {
    return this.pieces.reduce(
      (sum, { state, range }) =>
        state === 'waiting' || state === 'splitting' ? sum + (range.rows ?? Infinity) : sum,
      0,
    )
  }

  /** The results so far, in the table's order. */
  get results(): Result[] {
    return this.pieces.flatMap(({ state, result }) => (state === 'read' ? [result!] : []))
  }

  /** What is not read yet, in the table's order. */
  get rest(): Range[] {
    return this.pieces.flatMap(({ state, range }) => (state === 'read' ? [] : [range]))
  }

  private waiting(range: Range): RangeTask<Result> {
    const divisible = (range.rows ?? Infinity) > this.worth
    return { range, failures: 0, state: 'waiting', divisible }
  }
}

function largest<Result>(pieces: RangeTask<Result>[]): RangeTask<Result> | undefined {
  let best: RangeTask<Result> | undefined
  for (const piece of pieces)
    if (!best || (piece.range.rows ?? Infinity) > (best.range.rows ?? Infinity)) best = piece
  return best
}
