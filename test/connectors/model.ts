import type { LoadSpec } from '../../engine/contracts/load.ts'

/** A row of the source. `t`: days after 2026-01-01. */
export interface Row {
  a: number
  b: string
  p: string | null
  x: number | null
  d: string | null
  t: number
}

/** What a mode promises of its table, in the plainest words; `lines` are the rows as {@link textOf} reads them. */
export interface Model {
  table: string
  extra: string[]
  /** `held`: keys of rows that checks rejected; they are there, but nothing is known of them. */
  night(rows: Row[], held: string[], at: Date): void
  lines(): string[]
}

const COLUMNS = ['a', 'b', 'p', 'x', 'd', 't']

/** SQL of a row as one line: its values, and those of the columns that the load keeps itself. */
export function textOf({ extra }: Model): string {
  return [...COLUMNS, ...extra].map(value => `coalesce(CAST(${value} AS text), '-')`).join(` || ';' || `)
}

const DAY = 86_400_000
const time = (millis: number) => new Date(millis).toISOString().slice(0, 19).replace('T', ' ')
const day = (t: number) => Date.UTC(2026, 0, 1) + t * DAY
const lineOf = ({ a, b, p, x, d, t }: Row, ...more: (string | boolean | null)[]) =>
  [a, b, p, x, d, time(day(t)), ...more].map(value => value ?? '-').join(';')
export const keyOf = ({ a, b }: Row) => `${a} ${b}`
const equal = (one: Row, other: Row) => lineOf(one) === lineOf(other)

export function modelOf(spec: LoadSpec): Model {
  switch (spec.mode) {
    case 'append':
    case 'merge':
      return merged(spec)
    case 'replace':
    case 'partition':
      return mirrored(spec)
    case 'scd2':
      return history(spec)
  }
}

function mirrored({ table }: LoadSpec): Model {
  let held: Row[] = []
  return {
    table,
    extra: [],
    night: rows => {
      held = rows
    },
    lines: () => held.map(row => lineOf(row)),
  }
}

function merged({ table, mode, newer, deletes, insertOnly }: LoadSpec): Model {
  const held = new Map<string, { row: Row; gone: boolean }>()
  return {
    table,
    extra: deletes === 'soft' ? ['gone_at IS NULL'] : [],
    night(rows, rejected) {
      const keys = [...rows.map(keyOf), ...rejected]
      if (deletes === 'hard') for (const key of [...held.keys()]) if (!keys.includes(key)) held.delete(key)
      if (deletes === 'soft') for (const [key, entry] of held) entry.gone ||= !keys.includes(key)
      for (const row of rows) {
        const entry = held.get(keyOf(row))
        if (!entry) held.set(keyOf(row), { row, gone: false })
        else if (mode === 'merge') {
          if (!newer || row.t >= entry.row.t)
            entry.row = insertOnly.includes('x') ? { ...row, x: entry.row.x } : row
          entry.gone = false
        }
      }
    },
    lines: () =>
      [...held.values()].map(({ row, gone }) =>
        deletes === 'soft' ? lineOf(row, String(!gone)) : lineOf(row),
      ),
  }
}

interface Version {
  row: Row
  from: number
  to: number | null
}

function history({ table, newer, deletes }: LoadSpec): Model {
  const held = new Map<string, Version[]>()
  return {
    table,
    extra: newer
      ? ['valid_from', 'valid_to', 'is_current']
      : [`valid_from AT TIME ZONE 'UTC'`, `valid_to AT TIME ZONE 'UTC'`, 'is_current'],
    night(rows, rejected, at) {
      const there = [...rows.map(keyOf), ...rejected]
      const now = at.getTime()
      if (deletes !== 'keep')
        for (const [key, versions] of held)
          if (!there.includes(key)) for (const version of versions) version.to ??= Math.max(now, version.from)
      for (const row of rows) {
        const versions = held.get(keyOf(row)) ?? []
        held.set(keyOf(row), versions)
        const ended = versions.length > 0 && versions.every(({ to }) => to !== null)
        const end = Math.max(...versions.map(({ to }) => to ?? 0))
        const given = newer ? day(row.t) : now
        const from = ended && given < end ? Math.max(now, end) : given
        const same = versions.find(version => version.from === from)
        if (same) {
          if (ended) Object.assign(same, { row, to: null })
          else same.row = row
          continue
        }
        const covers = versions.find(
          version => version.from < from && (version.to === null || version.to > from),
        )
        const current = versions.find(({ to }) => to === null)
        if ((current && equal(current.row, row)) || (covers && equal(covers.row, row))) continue
        const later = versions.filter(version => version.from > from).map(version => version.from)
        const to = covers ? covers.to : later.length > 0 ? Math.min(...later) : null
        if (covers) covers.to = from
        versions.push({ row, from, to })
      }
    },
    lines: () =>
      [...held.values()]
        .flat()
        .map(({ row, from, to }) =>
          lineOf(row, time(from), to === null ? null : time(to), String(to === null)),
        ),
  }
}
