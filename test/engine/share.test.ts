import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Range, Snapshot } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { ChunkSize } from '../../engine/extract/chunkSize.ts'
import { LanePool } from '../../engine/extract/lanePool.ts'
import { RangeQueue, type RangeTask } from '../../engine/extract/rangeQueue.ts'
import { runLanes } from '../../engine/extract/runLanes.ts'

/** Rows of a pretended table, `[from, to)`. */
type Span = [from: number, to: number]

const range = (from: number, to: number, rows = to - from): Range => ({
  label: `[${from}, ${to})`,
  rows,
  payload: [from, to] satisfies Span,
})
const spanOf = (piece: RangeTask<Span>) => piece.range.payload as Span

test('whatever the order of completions and failures, every row is read once, and no lane is idle beside work', () => {
  const WORTH = 5
  fc.assert(
    fc.property(
      fc.array(fc.nat(80), { maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.infiniteStream(fc.nat(1000)),
      (sizes, lanes, choices) => {
        const choose = (below: number) => choices.next().value! % below
        let end = 0
        const ranges = sizes.map(size => {
          end += size
          return range(end - size, end)
        })
        const share = new RangeQueue<Span>(ranges, WORTH)
        // What each lane is at; undefined: it asks for its next step.
        const busy: (RangeTask<Span> | undefined)[] = Array(lanes).fill(undefined)
        const splitting = new Set<RangeTask<Span>>()
        for (let round = 0; ; round++) {
          assert.ok(round < 10_000, 'the lanes come to an end')
          const steps = busy.map((piece, lane) => {
            if (piece) return 'busy'
            const step = share.next(lanes)
            if (step.kind === 'read' || step.kind === 'split') busy[lane] = step.piece
            if (step.kind === 'split') splitting.add(step.piece)
            return step.kind
          })
          if (steps.every(step => step === 'done')) break
          assert.ok(busy.some(Boolean), 'someone is at work until all is read')
          // A lane may wait only for those at work: nothing that could be read or split lies about.
          if (steps.includes('wait'))
            assert.ok(share.remaining === waitingIn(splitting), `${share.remaining}`)
          const working = busy.flatMap((piece, lane) => (piece ? [{ piece, lane }] : []))
          const { piece, lane } = working[choose(working.length)]!
          busy[lane] = undefined
          const [from, to] = spanOf(piece)
          if (splitting.delete(piece)) {
            const middle = from + choose(to - from + 1)
            share.split(piece, choose(5) === 0 ? undefined : [range(from, middle), range(middle, to)])
          } else if (choose(6) === 0) share.failed(piece)
          else {
            const until = Math.min(to, from + 1 + choose(20))
            // Estimates may be wrong.
            share.read(piece, [from, until], until < to ? range(until, to, choose(100)) : undefined)
          }
        }
        let at = 0
        for (const [from, to] of share.results) {
          assert.equal(from, at)
          at = Math.max(at, to)
        }
        assert.equal(at, end)
      },
    ),
    { numRuns: 500 },
  )
})

const waitingIn = (pieces: Set<RangeTask<Span>>) =>
  [...pieces].reduce((sum, piece) => sum + (piece.range.rows ?? Infinity), 0)

test('one lane reads a range as it stands; several split it until each has one, and one is in reserve', () => {
  const alone = new RangeQueue<Span>([range(0, 1000)], 5)
  assert.equal(alone.next(1).kind, 'read')
  const share = new RangeQueue<Span>([range(0, 1000)], 5)
  const kinds: string[] = []
  for (let step = share.next(2); kinds.length < 4; step = share.next(2)) {
    kinds.push(step.kind)
    if (step.kind !== 'split') continue
    const [from, to] = spanOf(step.piece)
    share.split(step.piece, [range(from, (from + to) / 2), range((from + to) / 2, to)])
  }
  assert.deepEqual(kinds, ['split', 'read', 'split', 'read'])
  assert.equal(share.remaining, 250)
})

test('a chunk whose progress cannot be kept fails the read, and is not read twice', async () => {
  for (const code of ['CONNECTION_LOST', 'RESOURCE_EXHAUSTED'] as const) {
    const lost = new EngineError(code, 'the store is gone')
    const snapshot = { lanes: 1, rejoinable: true, joined: async () => {} } as unknown as Snapshot
    const pool = await LanePool.open('test', snapshot, async () => ({ close: async () => {} }), assert.fail)
    const share = new RangeQueue<Span>([range(0, 30)], 5)
    const read: Span[] = []
    const work = {
      split: () => assert.fail(),
      async read(_: unknown, { payload }: Range) {
        const [from, to] = payload as Span
        read.push([from, from + 10])
        return { result: [from, from + 10] as Span, rest: from + 10 < to ? range(from + 10, to) : undefined }
      },
      async keep() {
        if (read.length === 2) throw lost
      },
    }
    await assert.rejects(runLanes(share, pool, work, new AbortController().signal), lost)
    assert.deepEqual(read, [
      [0, 10],
      [10, 20],
    ])
    assert.deepEqual(share.results, read)
    assert.deepEqual(
      share.rest.map(({ payload }) => payload),
      [[20, 30]],
    )
  }
})

test('a chunk fills a few batches, within its bounds, and gets smaller towards the end', () => {
  const size = (bytesPerRow?: number) =>
    new ChunkSize({ least: 1000, most: 50_000, batch: 1_000_000, bytesPerRow })
  assert.equal(size().next(1e9, 2), 1000)
  assert.equal(size(400).next(1e9, 2), 10_000)
  assert.equal(size(1).next(1e9, 2), 50_000)
  assert.equal(size(1e6).next(1e9, 2), 1000)
  assert.equal(size(400).next(20_000, 2), 5000)
  assert.equal(size(400).next(20_000, 1), 10_000)
  assert.equal(size(400).next(300, 2), 1000)
  const learning = size(4000)
  for (let chunk = 0; chunk < 10; chunk++) learning.saw(1000, 100_000)
  assert.ok(Math.abs(learning.next(1e9, 2) - 40_000) < 4000)
  learning.saw(0, 0)
  assert.ok(learning.next(1e9, 2) > 30_000)
})
