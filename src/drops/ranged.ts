import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { UnopenedFile } from '../formats/bad.ts'
import type { DropStore, Entry } from './store.ts'

/** Bytes of one range, and tries of it that may come to nothing one after another. */
const RANGE = 8 * 1024 * 1024
const TRIES = 5

/**
 * All bytes of a file in order: some ranges at a time where the store is far, a broken one taken up where it stopped.
 * Fails as the store does, once a range has failed {@link TRIES} times without a byte.
 */
export async function* readAll(store: DropStore, entry: Entry): AsyncGenerator<Buffer> {
  if (store.parallel === 1 || entry.size <= RANGE) {
    for await (const chunk of resumed(store, entry, 0, entry.size)) yield chunk
    return
  }
  const ranges: Promise<Buffer>[] = []
  let next = 0
  const ask = () => {
    const to = Math.min(entry.size, next + RANGE)
    const range = collect(store, entry, next, to)
    // Looked at only when its turn comes.
    range.catch(() => {})
    ranges.push(range)
    next = to
  }
  while (next < entry.size || ranges.length > 0) {
    while (next < entry.size && ranges.length < store.parallel) ask()
    yield await ranges.shift()!
  }
}

async function collect(store: DropStore, entry: Entry, from: number, to: number): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(to - from)
  let at = 0
  for await (const chunk of resumed(store, entry, from, to)) {
    chunk.copy(whole, at)
    at += chunk.length
  }
  return whole
}

async function* resumed(store: DropStore, entry: Entry, from: number, to: number): AsyncGenerator<Buffer> {
  let at = from
  for (let failed = 0; at < to; ) {
    const before = at
    try {
      const stream = await store.read(entry, at, to)
      try {
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          if (at + chunk.length > to) break
          at += chunk.length
          yield chunk
        }
      } finally {
        if (!Array.isArray(stream)) stream.destroy()
      }
      if (at < to)
        throw new EngineError(
          'CONNECTION_LOST',
          `${store.name}: ${entry.name}: ended at byte ${at} of ${entry.size}`,
          {
            hint: 'The file may have been cut while it was read: run again.',
          },
        )
    } catch (error) {
      if (!(error instanceof EngineError) || !error.retryable || error.code === 'RESOURCE_EXHAUSTED')
        throw asUnopened(store, entry, error)
      failed = at > before ? 1 : failed + 1
      if (failed >= TRIES) throw error
      await delay(100 * 2 ** failed * (0.5 + Math.random()))
    }
  }
}

// What the store says of one file is that file's, whatever else the night holds.
function asUnopened(store: DropStore, entry: Entry, error: unknown): unknown {
  if (!(error instanceof EngineError)) return error
  const { code, message, hint } = error
  if (code === 'PERMISSION_DENIED') return new UnopenedFile(code, message, { cause: error, hint })
  if (code !== 'TABLE_MISSING') return error
  return new UnopenedFile(code, `${store.name}: ${entry.name}: is gone since it was listed`, {
    cause: error,
    hint: 'Run again. Set settle: or marker: where files come and go while they are read.',
  })
}

/** Files up to this many bytes are asked for before their turn, so many of them at a time. */
const SMALL = 1024 * 1024
const AHEAD = 16

/** Files with what gives their bytes; small ones of a store that is far are on their way before they are asked for. */
export async function* prefetched<File extends Entry>(
  store: DropStore,
  files: File[],
): AsyncGenerator<{ file: File; bytes: () => AsyncGenerator<Buffer> }> {
  const coming = new Map<File, Promise<Buffer>>()
  let next = 0
  for (const [index, file] of files.entries()) {
    for (; store.parallel > 1 && next < Math.min(files.length, index + AHEAD); next++) {
      const ahead = files[next]!
      if (ahead.size > SMALL) continue
      const whole = collect(store, ahead, 0, ahead.size)
      whole.catch(() => {})
      coming.set(ahead, whole)
    }
    const whole = coming.get(file)
    coming.delete(file)
    yield { file, bytes: () => (whole ? once(whole) : readAll(store, file)) }
  }
}

async function* once(whole: Promise<Buffer>): AsyncGenerator<Buffer> {
  yield await whole
}
