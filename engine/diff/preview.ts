import type { LoadMode } from '../contracts/load.ts'
import { leavesOlder } from '../contracts/semantics.ts'
import { taskName } from '../contracts/taskName.ts'
import { counted } from '../plural.ts'
import type { RunContext } from '../runtime/context.ts'
import { runTask } from '../runtime/task.ts'
import { type DuckRow, quoteName } from '../sql/duckdb.ts'
import { allRows, goodRows } from '../staging/dataSet.ts'
import { filesSql } from '../staging/read.ts'
import type { ChangeCounts, Changes } from './changeSet.ts'
import { KIND, ROW, WAS } from './compare.ts'
import { goneNotes } from './evolution.ts'

/** Samples of one kind of change. */
const SAMPLES = 5

/** What a load would do to its table: for people and programs. Values are DuckDB's text of them, null for NULL. */
export interface Preview {
  table: string
  to: string
  from: string
  mode: LoadMode
  /** True where no earlier load is known: all rows are staged, and the target finds out itself which it lacks. */
  whole: boolean
  counts: ChangeCounts & { unchanged: number }
  /** Why all rows are loaded although an earlier load is known. */
  reason?: string
  /** Updates that the target leaves alone, since its row is newer by the load's `newer` column. */
  older: number
  /** How many updates change a column, most often first. */
  columns: { name: string; rows: number }[]
  samples: {
    inserts: Sample[]
    updates: (Omit<Sample, 'values'> & { values: Record<string, { before: Text; after: Text }> })[]
    deletes: Sample[]
  }
  /** What is to be known of the target's table. */
  notes: string[]
}

type Text = string | null

export interface Sample {
  key: Record<string, Text>
  values: Record<string, Text>
}

/** A change set with the differences that its target tells; what is to be known of them; `remove`: the files that they are in. */
export interface Described {
  change: Changes
  notes: string[]
  remove(): void
}

/** Finds what a change set differs in from its table as it is now, where only that tells. */
export type Describe = (context: RunContext, change: Changes) => Promise<Described>

/** Describes a change set, and changes nothing in the target. */
export const preview = (context: RunContext, change: Changes, describe: Describe): Promise<Preview> =>
  runTask(context, taskName('preview', change.load.table), async own => {
    const described = await describe(own, change)
    try {
      const found = await previewLoad(own, described.change)
      found.notes.push(...described.notes)
      return { ...found, whole: change.list === undefined }
    } finally {
      described.remove()
    }
  })

async function previewLoad(context: RunContext, changes: Changes): Promise<Preview> {
  const { load, counts } = changes
  const show = describer(context, changes)
  const unchanged = counts.rows - counts.inserts - counts.updates
  return {
    table: load.table,
    to: load.to,
    from: load.from,
    mode: load.mode,
    whole: changes.list === undefined,
    ...(changes.reason && { reason: changes.reason }),
    counts: { ...counts, unchanged },
    older: counts.updates > 0 ? await show.older() : 0,
    columns: counts.updates > 0 ? await show.columns() : [],
    samples: {
      inserts: counts.inserts > 0 ? await show.rows('insert') : [],
      updates: counts.updates > 0 ? await show.updates() : [],
      deletes: counts.deletes > 0 ? await show.rows('delete') : [],
    },
    notes: await targetNotes(context, changes),
  }
}

function describer({ duck, root, mask }: RunContext, { load, list, table, was, state }: Changes) {
  const names = load.columns.map(column => column.name)
  const others = names.filter(name => !load.key.includes(name))
  const order = load.key.length > 0 ? load.key.map(name => `c.${quoteName(name)}`).join(', ') : `c.${ROW}`
  // Without a list every row is new: the state has the numbers of all.
  const listed = (kind: string) =>
    list
      ? `SELECT * FROM ${filesSql(root, list)} WHERE ${KIND} = '${kind}'`
      : state
        ? `SELECT * FROM ${filesSql(root, state)} WHERE ${ROW} >= 0`
        : `SELECT file_row_number AS ${ROW} FROM (${goodRows(root, table, true)})`
  const pairs = was && `${allRows(root, table)} AS n JOIN c ON n.file_row_number = c.${ROW}`
  const before = was && `LEFT JOIN ${allRows(root, was)} AS b ON b.file_row_number = c.${WAS}`
  const shown = (name: string, value: unknown) => mask.value(load.sensitive ?? [], name, text(value))
  const keyOf = (row: DuckRow) =>
    Object.fromEntries(load.key.map((name, i) => [name, shown(name, row[`k${i}`])]))
  return {
    async older(): Promise<number> {
      if (!leavesOlder(load) || !pairs) return 0
      const [theirs, ours] = ['n', 'b'].map(alias => `${alias}.${quoteName(load.newer!)}`)
      const [row] = await duck.rows(
        `WITH c AS (${listed('update')}) SELECT count(*) FILTER (coalesce(${theirs} < ${ours}, ${theirs} IS NULL AND ${ours} IS NOT NULL)) AS n FROM ${pairs} ${before}`,
      )
      return Number(row!.n)
    },
    async columns() {
      if (!pairs || others.length === 0) return []
      const differing = others.map(
        (name, i) =>
          `count(*) FILTER (b.file_row_number IS NOT NULL AND n.${quoteName(name)} IS DISTINCT FROM b.${quoteName(name)}) AS d${i}`,
      )
      const [row] = await duck.rows(
        `WITH c AS (${listed('update')}) SELECT ${differing.join(', ')} FROM ${pairs} ${before}`,
      )
      return others
        .map((name, i) => ({ name, rows: Number(row![`d${i}`]) }))
        .filter(({ rows }) => rows > 0)
        .sort((a, b) => b.rows - a.rows)
    },
    async rows(kind: 'insert' | 'delete'): Promise<Sample[]> {
      const rows = kind === 'insert' ? table : was
      const on = kind === 'insert' ? ROW : WAS
      if (!rows) return []
      const columns = [
        ...load.key.map((name, i) => `c.${quoteName(name)}::VARCHAR AS k${i}`),
        ...others.map((name, i) => `r.${quoteName(name)}::VARCHAR AS v${i}`),
      ]
      const found = await duck.rows(
        `WITH c AS (SELECT * FROM (${listed(kind)}) AS c ORDER BY ${order} LIMIT ${SAMPLES})
         SELECT ${columns.join(', ')} FROM c LEFT JOIN ${allRows(root, rows)} AS r ON r.file_row_number = c.${on} ORDER BY ${order}`,
      )
      return found.map(row => ({
        key: keyOf(row),
        values: Object.fromEntries(others.map((name, i) => [name, shown(name, row[`v${i}`])])),
      }))
    },
    async updates(): Promise<Preview['samples']['updates']> {
      if (!pairs) return []
      const columns = [
        ...load.key.map((name, i) => `c.${quoteName(name)}::VARCHAR AS k${i}`),
        ...others.flatMap((name, i) => [
          `n.${quoteName(name)}::VARCHAR AS n${i}`,
          `b.${quoteName(name)}::VARCHAR AS b${i}`,
          `n.${quoteName(name)} IS DISTINCT FROM b.${quoteName(name)} AS d${i}`,
        ]),
      ]
      const found = await duck.rows(
        `WITH c AS (SELECT * FROM (${listed('update')}) AS c ORDER BY ${order} LIMIT ${SAMPLES})
         SELECT ${columns.join(', ')} FROM ${pairs} ${before} ORDER BY ${order}`,
      )
      return found.map(row => ({
        key: keyOf(row),
        values: Object.fromEntries(
          others.flatMap((name, i) =>
            row[`d${i}`]
              ? [[name, { before: shown(name, row[`b${i}`]), after: shown(name, row[`n${i}`]) }]]
              : [],
          ),
        ),
      }))
    },
  }
}

async function targetNotes(context: RunContext, changes: Changes): Promise<string[]> {
  const { load, whole, reason, there } = changes
  const table = await context.targets.get(load.to)!.describe(load.table, context.signal)
  const notes = reason ? [`all rows are loaded: ${reason}`] : []
  if (!table) return [...notes, 'the table does not exist: the load creates it']
  const { statements } = await context.targets.get(load.to)!.tableChanges(load, context.signal)
  notes.push(...statements.map(statement => `the load changes the table: ${statement}`), ...goneNotes(load))
  if (whole && load.key.length === 0 && there && there.rows > 0)
    notes.push(
      `the table has ${counted(there.rows, 'row')}: ${context.targets.get(load.to)!.keepsEqual ? 'without a key, those that are equal stay as they are' : 'without a key, the load exchanges all of them'}`,
    )
  return notes
}

const text = (value: unknown): Text => (value === null || value === undefined ? null : String(value))
