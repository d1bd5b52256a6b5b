import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { updatedColumns } from '../../../engine/contracts/semantics.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { type ChangingRows, changedLines } from './changedValues.ts'
import type { GoneRows, ReferringKey, ReferringSql } from './referringKeys.ts'

/** Rows that refer to others by a foreign key, at least one; undefined: they may not be counted. */
interface Followers {
  key: ReferringKey
  rows: number | undefined
  /** The table that they refer to, for people. */
  parent: string
}

/** What refers, by foreign keys, to the rows of a loaded table that are about to be deleted. */
export class Referring {
  private readonly load: StagedLoad
  /** The table, for people. */
  private readonly name: string
  private readonly sql: ReferringSql

  constructor(load: StagedLoad, name: string, sql: ReferringSql) {
    this.load = load
    this.name = name
    this.sql = sql
  }

  /**
   * Has `remove` delete rows, given what follows from that (see {@link lines}): at once, or, where rows of tables that the job loads
   * still refer to them and may be brought up to date yet, when what is given back is called.
   */
  async removal(
    gone: GoneRows,
    remove: (cascades: string[]) => Promise<void>,
  ): Promise<(() => Promise<void>) | undefined> {
    const lines: string[] = []
    for await (const followers of this.following(gone)) {
      if (followers.key.loaded && followers.rows) return async () => remove(await this.lines(gone))
      lines.push(...this.line(followers))
    }
    await remove(lines)
    return undefined
  }

  /**
   * Rows of other tables that the server deletes or changes by itself, a line for each foreign key. Fails with CONSTRAINT_VIOLATED
   * where they are of a table that the job loads: its other loads would not know.
   */
  async lines(gone: GoneRows): Promise<string[]> {
    const lines: string[] = []
    for await (const followers of this.following(gone)) lines.push(...this.line(followers))
    return lines
  }

  private line({ key, rows, parent }: Followers): string[] {
    const { constraint, onDelete, name, columns } = key
    if (!onDelete) return []
    const by = `by ${constraint} (ON DELETE ${onDelete})`
    const values = columns.join(', ')
    if (key.loaded && rows !== undefined) {
      const change = onDelete === 'CASCADE' ? 'would delete them' : `would change their ${values}`
      throw new EngineError(
        'CONSTRAINT_VIOLATED',
        `${name}: ${counted(rows, 'row')} still ${rows === 1 ? 'refers' : 'refer'} (${values}) to rows that ${parent} has no more, and the server ${change} ${by}`,
        { hint: this.hint(key) },
      )
    }
    const what = rows === undefined ? 'rows that we may not count' : counted(rows, 'row')
    const other = `given other values in ${values}`
    const change = onDelete === 'CASCADE' ? 'deleted' : onDelete === 'unknown' ? `deleted or ${other}` : other
    return [
      `${what} of ${name} that referred to its deleted rows ${rows === 1 ? 'was' : 'were'} ${change}, ${by}`,
    ]
  }

  private hint({ name, constraint, loaded }: ReferringKey): string {
    const keeps =
      this.load.mode === 'merge' ? 'deletes: soft or deletes: keep' : 'mode: merge and deletes: soft'
    return `Nothing was loaded. Correct or leave out these rows of ${name}, and have its load take away what is left out (deletes: hard)${loaded === 'here' ? '' : `, or have it loaded before ${this.name}`}; or keep the rows of ${this.name} with ${keeps}; or drop ${constraint}.`
  }

  /**
   * Values that the server changes by itself in rows of other tables, where those that they refer to change: see
   * {@link changedLines}.
   */
  changes(changing: ChangingRows): Promise<string[]> {
    return changedLines(this.sql, this.name, updatedColumns(this.load), changing)
  }

  /**
   * What refers to rows which are gone, or go with them: level by level. Fails with CONSTRAINT_VIOLATED where tables that the job
   * does not load refer to each other in a circle.
   */
  private async *following(
    gone: GoneRows,
    { table, name: parent }: { table?: string; name: string } = { name: this.name },
    seen: string[] = [],
  ): AsyncGenerator<Followers> {
    const { keysTo, count } = this.sql
    const keys = await keysTo(table)
    if (keys.length === 0 || (await count(`SELECT count(*) AS n FROM (${gone(keys[0]!.to)}) AS gone`)) === 0)
      return
    for (const key of keys) {
      // What is below such rows goes with them, and is among them.
      if (table !== undefined && isBranch(key)) continue
      const refers = `(${this.list(key.columns)}) IN (${gone(key.to)})${table === undefined ? this.stays(key, gone) : ''}`
      const follows = key.onDelete === 'CASCADE' && !key.loaded && !key.unreadable
      const rowsOf = follows
        ? await this.below(key, refers)
        : () => `SELECT 1 AS one FROM ${key.table} AS _nf_t WHERE ${refers}`
      const rows = key.unreadable
        ? undefined
        : await count(`SELECT count(*) AS n FROM (${rowsOf(key.columns)}) AS found`)
      if (rows === 0) continue
      yield { key, rows, parent }
      if (!follows || rows === undefined) continue
      if (seen.includes(key.constraint))
        throw new EngineError(
          'CONSTRAINT_VIOLATED',
          `${key.name}: rows that follow deleted ones of ${this.name} in a circle of tables, by ${key.constraint} (ON DELETE CASCADE), cannot be foreseen`,
          { hint: this.hint(key) },
        )
      yield* this.following(rowsOf, key, [...seen, key.constraint])
    }
  }

  /** The rows of a table that refer, with those below them where it refers to itself. */
  private async below({ table, columns }: ReferringKey, refers: string): Promise<GoneRows> {
    const keys = await this.sql.keysTo(table)
    const branches = keys.filter(isBranch)
    if (branches.length === 0)
      return names => `SELECT ${this.list(names)} FROM ${table} AS _nf_t WHERE ${refers}`
    const needed = this.list([...new Set([...columns, ...keys.flatMap(({ to }) => to)])])
    const isUnder = branches.map(({ columns, to }) =>
      columns.map((column, at) => `${this.list([column])} = g.${this.sql.quote(to[at]!)}`).join(' AND '),
    )
    const all = `WITH RECURSIVE g AS (SELECT ${needed} FROM ${table} AS _nf_t WHERE ${refers}
      UNION SELECT ${needed} FROM ${table} AS _nf_t JOIN g ON ${isUnder.join(' OR ')}) SELECT * FROM g`
    return names => `SELECT ${this.list(names)} FROM (${all}) AS _nf_t`
  }

  /** Condition on a row `_nf_t` that refers: it is not itself about to be deleted. */
  private stays({ own }: ReferringKey, gone: GoneRows): string {
    if (!own) return ''
    const { key } = this.load
    // Without a key all rows are exchanged.
    if (key.length === 0) return ' AND FALSE'
    const same = key.map(column => `${this.list([column])} = g.${this.sql.quote(column)}`)
    return ` AND NOT EXISTS (SELECT 1 FROM (${gone(key)}) AS g WHERE ${same.join(' AND ')})`
  }

  private list(columns: string[]): string {
    return columns.map(column => `_nf_t.${this.sql.quote(column)}`).join(', ')
  }
}

/** Whether rows of a table go with those of it that they refer to. */
const isBranch = ({ own, onDelete }: ReferringKey) => own && onDelete === 'CASCADE'
