import type { StagedLoad } from '../../engine/contracts/load.ts'
import { quote } from '../../engine/sql/duckdb.ts'

/** A row of the model's table; `gone` where it is marked as deleted. */
export interface Row {
  a: number
  b: string
  p: string | null
  seen: number | null
  x: number | null
  born: number
  gone?: boolean
}

export type Spec = Partial<StagedLoad> & Pick<StagedLoad, 'mode' | 'key'>

export interface Night {
  rows: Row[]
  keys: { a: number; b: string }[]
  whole: boolean
}

interface Counts {
  inserted: number
  updated: number
  deleted: number
  unchanged: number
  older: number
}

const id = ({ a, b }: { a: number; b: string }) => `${a} ${b}`
const same = (one: Row, other: Row, names: (keyof Row)[]) => names.every(name => one[name] === other[name])
const VALUES: (keyof Row)[] = ['p', 'seen', 'x', 'born']
const partitions = ({ p }: Row) => p

/** What a night's rows and keys make of a table, said row by row; and what to stage for it. */
export function applyLoad(table: Row[], spec: Spec, night: Night) {
  const { mode, key, deletes = 'keep' } = spec
  const whole = mode === 'replace' || (night.whole && mode !== 'append')
  const { rows } = night
  const staged = new Map(rows.map(row => [id(row), row]))
  const counts: Counts = { inserted: 0, updated: 0, deleted: 0, unchanged: 0, older: 0 }
  if (key.length === 0) {
    const left = [...table]
    for (const row of rows) {
      const at = left.findIndex(other => id(other) === id(row) && same(other, row, VALUES))
      if (at < 0) counts.inserted++
      else counts.unchanged += left.splice(at, 1).length
    }
    counts.deleted = left.length
    return { table: rows, counts, staged: stagedOf(spec, rows, undefined, whole) }
  }
  const named = mode === 'append' || (mode === 'merge' && deletes === 'keep') ? [] : night.keys
  const keys = new Set(named.map(id).filter(name => whole || !staged.has(name)))
  const exact = mode === 'replace' || mode === 'partition'
  const touched = new Set<string | null>()
  if (mode === 'partition' && !whole) {
    for (const row of rows) touched.add(partitions(row))
    for (const row of table) if (staged.has(id(row)) || keys.has(id(row))) touched.add(partitions(row))
  }
  const result: Row[] = []
  for (const own of table) {
    const their = staged.get(id(own))
    if (their) {
      staged.delete(id(own))
      const [row, changed] = both(own, their, spec, exact)
      counts[changed]++
      result.push(row)
      continue
    }
    const gone =
      mode === 'append' || (mode === 'merge' && deletes === 'keep')
        ? false
        : whole
          ? !keys.has(id(own))
          : exact
            ? touched.has(partitions(own))
            : keys.has(id(own))
    if (!gone || own.gone) result.push(own)
    else {
      counts.deleted++
      if (deletes === 'soft') result.push({ ...own, gone: true })
    }
  }
  for (const row of staged.values()) {
    counts.inserted++
    result.push({ ...row, gone: false })
  }
  const keyList = mode === 'partition' && !whole ? partitionSql([...touched]) : keySql(keys)
  return { table: result, counts, staged: stagedOf(spec, rows, keyList, whole) }
}

function both(own: Row, their: Row, spec: Spec, exact: boolean): [Row, keyof Counts] {
  if (spec.mode === 'append') return [own, 'unchanged']
  const once = exact ? [] : (spec.insertOnly ?? [])
  const written = VALUES.filter(name => !once.includes(name))
  const taken = { ...own, ...Object.fromEntries(written.map(name => [name, their[name]])), gone: false }
  const given = (name: keyof Row) =>
    exact || ((spec.compare ?? [name]).includes(name) && !spec.ignore?.includes(name))
  const differs = !same(own, their, written.filter(given))
  if (exact) return differs ? [taken, 'updated'] : [own, 'unchanged']
  if (!spec.newer) return differs || own.gone ? [taken, 'updated'] : [own, 'unchanged']
  const older = own.seen !== null && (their.seen === null || their.seen < own.seen)
  if (older) return [{ ...own, gone: false }, own.gone ? 'updated' : 'older']
  return differs || own.gone ? [taken, 'updated'] : [own, 'unchanged']
}

function stagedOf(spec: Spec, rows: Row[], keys: string | undefined, whole: boolean) {
  return {
    spec: { ...spec, whole },
    sql: rowSql(rows),
    ...(keys !== undefined && { keySql: keys }),
  }
}

const text = (value: string | null) => (value === null ? 'NULL' : quote(value))

function rowSql(rows: Row[]): string {
  const lists = rows.map(
    ({ a, b, p, seen, x, born }) => `(${a}, ${text(b)}, ${text(p)}, ${seen}, ${x}, ${born})`,
  )
  const columns =
    'a::INTEGER AS a, b::VARCHAR AS b, p::VARCHAR AS p, seen::INTEGER AS seen, x::INTEGER AS x, born::INTEGER AS born'
  return select(columns, lists, '(0, NULL, NULL, 0, 0, 0)', 'a, b, p, seen, x, born')
}

const keySql = (keys: Set<string>) =>
  keys.size === 0
    ? undefined
    : select(
        'a::INTEGER AS a, b::VARCHAR AS b',
        [...keys].map(key => `(${key[0]}, ${quote(key.slice(2))})`),
        '',
        'a, b',
      )

const partitionSql = (list: (string | null)[]) =>
  list.length === 0
    ? undefined
    : select(
        'p::VARCHAR AS p',
        list.map(value => `(${text(value)})`),
        '',
        'p',
      )

const select = (columns: string, lists: string[], none: string, names: string) =>
  `SELECT ${columns} FROM (VALUES ${lists.join(', ') || none}) AS v(${names})${lists.length === 0 ? ' WHERE false' : ''}`
