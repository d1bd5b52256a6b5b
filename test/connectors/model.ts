import type { LoadSpec } from '../../engine/contracts/load.ts'

/** A row of the source. `t`: days after 2026-01-01. */
export interface Row {
  a: number
  b: string
  p: string | null
  x: number | null
  d: string | null
  s: string | null
  iv: string | null
  t: number | null
}

/** A row of the target: what was loaded, and what the load keeps beside it. */
export interface Held {
  row: Row
  /** The night that wrote it last, and the one that marked it as gone. */
  stamp: number
  gone: number | null
  /** Mode scd2: milliseconds. */
  from: number
  to: number | null
}

export interface Night {
  number: number
  at: Date
  /** Keys of rows that checks rejected; they are there, but nothing is known of them. */
  rejected: string[]
}

const COLUMNS = ['a', 'b', 'p', 'x', 'd', 's', 'iv', 't'] as const
type Name = (typeof COLUMNS)[number]

export const keyOf = ({ a, b }: Row) => `${a} ${b}`
const same = (one: Row, other: Row, names: readonly Name[]) =>
  names.every(name => Object.is(one[name], other[name]))

/**
 * What a load makes of a table, in the plainest words: the reference that every target is compared with. `dataSet`:
 * the good rows of the night, all of them.
 */
export function loaded(table: Held[], dataSet: Row[], load: LoadSpec, night: Night): Held[] {
  const fresh = (row: Row): Held => ({ row, stamp: night.number, gone: null, from: 0, to: null })
  if (load.key.length === 0) return dataSet.map(fresh)
  const rows = new Map(newestLast(dataSet, load).map(row => [keyOf(row), row]))
  const there = new Map(table.map(held => [keyOf(held.row), held]))
  const added = [...rows.values()].filter(row => !there.has(keyOf(row))).map(fresh)
  const values = COLUMNS.filter(name => !load.key.includes(name))
  switch (load.mode) {
    case 'append':
      return [...table, ...added]
    case 'replace':
    case 'partition':
      return [...rows.values()].map(row => {
        const held = there.get(keyOf(row))
        return held && same(held.row, row, values) ? held : fresh(row)
      })
    case 'merge':
      return [...table.flatMap(held => merged(held, rows.get(keyOf(held.row)), load, night)), ...added]
    case 'scd2':
      return history(table, rows, load, night)
  }
}

/** Columns that decide whether a row has changed. */
const deciding = ({ key, mode, insertOnly, compare, ignore }: LoadSpec) =>
  COLUMNS.filter(
    name =>
      ![...key, ...ignore, ...(mode === 'merge' ? insertOnly : [])].includes(name) &&
      (compare.length === 0 || compare.includes(name)),
  )

const ageOf = ({ t }: Row) => t ?? -Infinity

function merged(held: Held, row: Row | undefined, load: LoadSpec, night: Night): Held[] {
  const written = { stamp: night.number, gone: null }
  if (!row) {
    if (load.deletes === 'keep' || held.gone !== null || night.rejected.includes(keyOf(held.row)))
      return [held]
    return load.deletes === 'hard' ? [] : [{ ...held, stamp: night.number, gone: night.number }]
  }
  const older = load.newer !== undefined && ageOf(row) < ageOf(held.row)
  if (older) return [held.gone === null ? held : { ...held, ...written }]
  if (held.gone === null && same(row, held.row, deciding(load))) return [held]
  const kept = Object.fromEntries(load.insertOnly.map(name => [name, held.row[name as Name]]))
  return [{ ...held, ...written, row: { ...row, ...kept } }]
}

function history(table: Held[], rows: Map<string, Row>, load: LoadSpec, night: Night): Held[] {
  const now = night.at.getTime()
  const all = table.map(held => ({ ...held }))
  const write = (held: Held, change: Partial<Held>) => Object.assign(held, change, { stamp: night.number })
  if (load.deletes !== 'keep')
    for (const held of all)
      if (held.to === null && !rows.has(keyOf(held.row)) && !night.rejected.includes(keyOf(held.row)))
        write(held, { to: Math.max(now, held.from) })
  for (const row of rows.values()) {
    const versions = all.filter(held => keyOf(held.row) === keyOf(row))
    const ended = versions.length > 0 && versions.every(({ to }) => to !== null)
    const given = load.newer && row.t !== null ? day(row.t) : now
    const standing = versions.find(({ to }) => to === null)
    const follows = load.newer && standing && ageOf(standing.row) < ageOf(row)
    const end = ended ? Math.max(...versions.map(({ to }) => to!)) : follows ? standing.from : -Infinity
    const differs = (held: Held) => !same(held.row, row, deciding(load))
    // Of versions as old as the row the latest is the row's own; of those without an age, where it says the same or is yet to begin.
    const asOld = versions.filter(held => load.newer && held.row.t === row.t)
    const own = asOld.find(held => asOld.every(({ from }) => from <= held.from))
    const known = own && (row.t !== null || own.from > now || !differs(own))
    const from = given < end ? Math.max(now, end) : known && !ended ? own.from : given
    const begun = versions.find(held => held.from === from)
    if (begun) {
      if (ended) write(begun, { row, to: null })
      else if (differs(begun)) write(begun, { row })
      continue
    }
    const covers = versions.find(held => held.from < from && (held.to === null || held.to > from))
    if ((standing && !differs(standing)) || (covers && !differs(covers))) continue
    const later = versions.filter(held => held.from > from).map(held => held.from)
    const to = covers ? covers.to : later.length > 0 ? Math.min(...later) : null
    if (covers) write(covers, { to: from })
    all.push({ row, stamp: night.number, gone: null, from, to })
  }
  return all
}

/** Of the rows of a key the newest comes last, then the greatest by all columns. */
const newestLast = (rows: Row[], { newer }: LoadSpec) =>
  rows.toReversed().sort((one, other) => {
    for (const name of newer ? (['t', ...COLUMNS] as const) : COLUMNS) {
      const [left, right] = [one, other].map(row =>
        name === 'd' && row.d !== null ? Number(row.d) : row[name],
      )
      if (left === right) continue
      if (left === null || right === null) return left === null ? -1 : 1
      return left! < right! ? -1 : 1
    }
    return 0
  })

const DAY = 86_400_000
const day = (t: number) => Date.UTC(2026, 0, 1) + t * DAY
const time = (millis: number | null) =>
  millis === null ? null : new Date(millis).toISOString().slice(0, 19).replace('T', ' ')

/** SQL of a row as one line: its values, and what the load keeps beside them; times of the target's own clock last. */
export function textOf(load: LoadSpec, clock: string[]): string {
  const period = load.newer
    ? ['valid_from', 'valid_to', 'is_current']
    : [`valid_from AT TIME ZONE 'UTC'`, `valid_to AT TIME ZONE 'UTC'`, 'is_current']
  const columns = [...COLUMNS, ...(load.mode === 'scd2' ? period : []), ...clock]
  return columns.map(value => `coalesce(CAST(${value} AS text), '-')`).join(` || ';' || `)
}

/** The columns whose values are the target's own time: of the last change, and of the mark. */
export const clockColumns = ({ stamp, deletedAt }: LoadSpec) =>
  [stamp, deletedAt].filter(name => name !== undefined)

/** {@link textOf} of a row of the model; its times are nights' numbers. */
export function lineOf({ row, stamp, gone, from, to }: Held, load: LoadSpec): string {
  const x = Object.is(row.x, -0) ? '-0' : row.x
  const { a, b, p, d, s, iv, t } = row
  return [
    ...[a, b, p, x, d, s, iv, t === null ? null : time(day(t))],
    ...(load.mode === 'scd2' ? [time(from), time(to), String(to === null)] : []),
    ...(load.stamp ? [stamp] : []),
    ...(load.deletedAt ? [gone] : []),
  ]
    .map(value => value ?? '-')
    .join(';')
}
