import type pg from 'pg'
import type { Range, Read } from '../../../engine/contracts/source.ts'
import { relation } from '../wire/selection.ts'
import { ask, quoteTable } from './connect.ts'
import type { PostgresExtract } from './settings.ts'

/**
 * Blocks of a table, `[from, to)`; the last range of a table has no `to`. Every row has one place in one block, so
 * ranges of blocks need no index, cost the same whatever the keys are, and read the table as it lies. (TID range
 * scans came with version 14.)
 */
export interface Blocks {
  from: number
  to?: number
  /** Where the table ended when its size was taken. */
  end: number
}

/** Rows of one table or partition, its name quoted, or of a query; without `blocks` they are read in one go. */
export interface RangePayload {
  table: string
  blocks?: Blocks
}

/** A guess for a table that was never analyzed: rows of some hundred bytes. */
const ROWS_PER_BLOCK = 50
/** Share of the former estimate that one chunk may take away: what comes next may be denser. */
const CAUTION = 4

/** The ranges of a read that is held: one for each partition, or the whole where only a plain SELECT gives the right rows. */
export async function rangesOf(client: pg.Client, where: string, read: Read): Promise<Range[]> {
  const { table, query } = read.options as PostgresExtract
  if (table === undefined) {
    const all = relation({ query }, quoteTable)
    return [{ label: `${read.extract}, all rows`, payload: { table: all } satisfies RangePayload }]
  }
  const [facts] = await ask(
    client,
    where,
    `SELECT c.relkind AS kind, c.relrowsecurity AS secured, format('%I.%I', n.nspname, c.relname) AS name,
       EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid) AS inherited
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass`,
    [quoteTable(table)],
  )
  const name = facts!.name!
  const leaves = await ask(
    client,
    where,
    `SELECT p.relid::regclass::text AS label, format('%I.%I', n.nspname, c.relname) AS name, c.relkind AS kind,
       has_table_privilege(c.oid, 'SELECT') AS allowed, c.relrowsecurity AS secured, c.reltuples AS rows, c.relpages AS pages,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) / current_setting('block_size')::int END AS blocks
     FROM (SELECT relid FROM pg_partition_tree($1::regclass) WHERE isleaf
           UNION SELECT $1::regclass WHERE NOT EXISTS (SELECT 1 FROM pg_partition_tree($1::regclass))) p
       JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`,
    [name],
  )
  const whole: Range = { label: table, payload: { table: name } satisfies RangePayload }
  const inherited = facts!.inherited === 't'
  // Old-style inheritance: a plain SELECT from the parent reads the children too.
  if (inherited && facts!.kind === 'r') return [whole]
  // Reads through a partitioned table go by its own grants and row security, reads of a partition by the partition's.
  const own = leaves.every(leaf => leaf.allowed === 't' && leaf.secured === 'f')
  if (inherited && (facts!.secured === 't' || !own)) return [whole]
  return leaves.map(leaf => {
    if (leaf.blocks === null) return { label: leaf.label!, payload: { table: leaf.name! } }
    const end = Number(leaf.blocks)
    const known = Number(leaf.pages) > 0 && Number(leaf.rows) > 0
    const density = known ? Number(leaf.rows) / Number(leaf.pages) : ROWS_PER_BLOCK
    const payload: RangePayload = { table: leaf.name!, blocks: { from: 0, end } }
    return { label: labelOf(leaf.label!, payload.blocks!), rows: Math.ceil(end * density), payload }
  })
}

/** The blocks at the start of a range that hold about `limit` rows; `rows` is the range's estimate. */
export function upTo(blocks: Blocks, rows: number | undefined, limit: number): Blocks {
  const count = stop(blocks) - blocks.from
  const wanted = Math.max(1, Math.floor((count * limit) / Math.max(1, rows ?? 1)))
  // A remainder of a few blocks is not worth a question of its own.
  return wanted * 1.1 >= count ? blocks : { ...blocks, to: blocks.from + wanted }
}

/** What is left of a range once `chunk`, which held `rows` rows, is read; it is taken to be about as dense. */
export function restOf(range: Range, chunk: Blocks, rows: number): Range | undefined {
  const { blocks } = range.payload as Required<RangePayload>
  if (chunk.to === blocks.to) return undefined
  const rest = { ...blocks, from: chunk.to! }
  const former = (range.rows ?? 0) / (stop(blocks) - blocks.from)
  const density = Math.max(rows / (chunk.to! - chunk.from), former / CAUTION)
  return piece(range, rest, Math.ceil((stop(rest) - rest.from) * density))
}

/** A range cut at its middle block. */
export function halves(range: Range): [Range, Range] | undefined {
  const { blocks } = range.payload as RangePayload
  if (!blocks || stop(blocks) - blocks.from < 2) return undefined
  const middle = Math.floor((blocks.from + stop(blocks)) / 2)
  const rows = Math.ceil((range.rows ?? 0) / 2)
  return [piece(range, { ...blocks, to: middle }, rows), piece(range, { ...blocks, from: middle }, rows)]
}

/** The known end of a range. */
const stop = ({ from, to, end }: Blocks) => to ?? Math.max(from, end)

function piece(range: Range, blocks: Blocks, rows: number): Range {
  const { table } = range.payload as RangePayload
  return { label: labelOf(table, blocks), rows, payload: { table, blocks } satisfies RangePayload }
}

const labelOf = (table: string, { from, to }: Blocks) => `${table} blocks [${from}, ${to ?? '…'})`
