import type { Range, Read } from '../../../engine/contracts/source.ts'
import { ask, type Session } from './connect.ts'
import { type Bounds, exact, exactLiteral, type Key, type KeyPosition, order, within } from './keys.ts'
import { keyedRange, type RangePayload } from './lane.ts'
import { midpoints } from './midpoint.ts'
import { identifier, tableName } from './types.ts'

/** Halves at most this much unlike, by the server's estimate, are good enough. */
const EVEN = 3
/** Looks for a better position: each costs a few dips into the index. */
const LOOKS = 30

/**
 * Cuts a range of keys in two halves of about as many rows. The server says where the first and last key lie and
 * how many rows it expects on either side of a position between; while one side has far more, the search goes on in it.
 */
export async function splitRange(
  session: Session,
  read: Read,
  range: Range,
): Promise<[Range, Range] | undefined> {
  const { key, bounds } = range.payload as RangePayload
  if (!key) return undefined
  const table = new KeyTable(session, read, key)
  let best: { position: KeyPosition; left: number; right: number } | undefined
  let sought: Bounds = bounds ?? {}
  for (let look = 0; look < LOOKS; look++) {
    const position = await table.middle(sought)
    if (!position) break
    const left = await table.rows({ ...bounds, until: position })
    const right = await table.rows({ ...bounds, after: position })
    if (!best || Math.min(left, right) > Math.min(best.left, best.right)) best = { position, left, right }
    if (Math.max(left, right) <= EVEN * Math.min(left, right)) break
    sought = left > right ? { ...sought, until: position } : { ...sought, after: position }
  }
  if (!best || Math.min(best.left, best.right) === 0) return undefined
  const { position, left, right } = best
  return [
    keyedRange(read, key, { ...bounds, until: position }, left),
    keyedRange(read, key, { ...bounds, after: position }, right),
  ]
}

/** What the server can tell of a table's keys without reading more than an entry or two. */
class KeyTable {
  private readonly session: Session
  private readonly key: Key
  private readonly from: string

  constructor(session: Session, read: Read, key: Key) {
    const { table } = read.options as { table: string }
    this.session = session
    this.key = key
    this.from = `${tableName(table)} FORCE INDEX (${identifier(key.index)})`
  }

  /** A position with keys of the bounds on both its sides; undefined where none is found. */
  async middle(bounds: Bounds): Promise<KeyPosition | undefined> {
    const [low, high] = [await this.end(bounds, 'ASC'), await this.end(bounds, 'DESC')]
    if (!low || !high) return undefined
    const positions = midpoints(this.key, low, high)
    if (positions.length === 0) return undefined
    const tests = positions.map((position, index) => `${this.parts(low, high, position)} AS p${index}`)
    const [answers] = await ask(this.session, `SELECT ${tests.join(', ')}`)
    return positions.find((_, index) => Number(answers![`p${index}`]) === 1)
  }

  /** The server's estimate of the rows within bounds. */
  async rows(bounds: Bounds): Promise<number> {
    const plan = await ask<{ rows: string | null }>(
      this.session,
      `EXPLAIN SELECT 1 FROM ${this.from}${this.where(bounds)}`,
    )
    return Math.max(0, ...plan.map(step => Number(step.rows ?? 0)))
  }

  /** The first or the last key within bounds. */
  private async end(bounds: Bounds, direction: 'ASC' | 'DESC'): Promise<KeyPosition | undefined> {
    const columns = this.key.columns.map((column, index) => `${exact(column)} AS k${index}`)
    const [row] = await ask(
      this.session,
      `SELECT ${columns.join(', ')} FROM ${this.from}${this.where(bounds)}
       ORDER BY ${order(this.key, direction)} LIMIT 1`,
    )
    return row && columns.map((_, index) => row[`k${index}`]!)
  }

  private where(bounds: Bounds): string {
    const conditions = within(this.key, bounds)
    return conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''
  }

  /** Whether `position`, which may be shorter than a key, parts `low` from `high`. */
  private parts(low: KeyPosition, high: KeyPosition, position: KeyPosition): string {
    const [from, to, middle] = [low, high, position].map(values => {
      const literals = this.key.columns.slice(0, position.length)
      return `(${literals.map((column, index) => exactLiteral(column, values[index]!)).join(', ')})`
    })
    return `(${from} <= ${middle} AND ${middle} < ${to})`
  }
}
