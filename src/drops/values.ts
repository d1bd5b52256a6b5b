import { counted } from '../../engine/plural.ts'
import type { Duck } from '../../engine/sql/duckdb.ts'
import { badFile, NOT_UTF8 } from '../formats/bad.ts'
import type { TypeFinder } from '../formats/inferTypes.ts'
import { jsonLayout } from '../formats/json.ts'
import { MOST_KEYS } from '../formats/jsonRecord.ts'
import type { Layout } from '../formats/layout.ts'
import { RowSpool } from '../formats/rowSpool.ts'
import type { RowSink } from '../formats/split.ts'
import type { TextFile } from '../formats/textFormat.ts'

/**
 * Shows a finder the values of text files, one after the other. Rows of files that are written alike wait for each other: a
 * question costs the same for twenty rows as for twenty thousand.
 */
export class ValueReader {
  private readonly duck: Duck
  private readonly finder: TypeFinder
  private readonly only: Set<string> | undefined
  private readonly spool: RowSpool
  /** How the waiting rows are written; undefined where they are JSON, whose layout is its keys. */
  private layout: Layout | undefined
  private id = ''
  /** Columns of the waiting rows. */
  private readonly names = new Set<string>()
  /** Of the file that is read: what is wrong, and how many of its rows the splitter did not see that of. */
  private bad = 0
  private first = ''
  private faults = 0

  /** `only`: the columns that are looked at; all where it is absent. */
  constructor(duck: Duck, folder: string, finder: TypeFinder, only?: Set<string>) {
    this.duck = duck
    this.finder = finder
    this.only = only
    this.spool = new RowSpool(folder, async path => {
      if (path === undefined) return
      if (this.layout === undefined && this.names.size === 0) await this.countFaults(path)
      else await this.look(path)
    })
  }

  /** Whether every column is looked at. */
  get all(): boolean {
    return this.only === undefined
  }

  /** Reads a file to its end. Fails with a bad file where none of its rows can be read. */
  async read(where: string, text: TextFile): Promise<void> {
    if (text.layout.id !== this.id) await this.finish()
    this.id = text.layout.id
    this.layout = text.names && text.layout
    this.finder.see(this.wanted(text.names ?? []))
    this.spool.mark()
    this.bad = 0
    this.faults = 0
    let rows = 0
    const sink: RowSink = {
      row: (source, from, to, line) => {
        rows++
        this.spool.add(0, line, text.layout.separator, source, from, to)
      },
      // What is wrong with a row is for the run to say, where others are right.
      bad: (_raw, line, reason) => this.note(1, line, reason),
      reserve: async bytes => {
        if (!this.spool.fits(bytes * 8)) await this.empty(text)
      },
    }
    try {
      await text.read(sink)
    } catch (error) {
      this.spool.takeBack()
      throw error
    }
    const names = this.wanted(text.names ?? text.found().names)
    for (const name of names) this.names.add(name)
    // Without a key, nothing was JSON, or all objects are empty.
    if ((names.length === 0 && !text.names) || this.names.size > MOST_KEYS) await this.empty(text)
    if (this.bad > 0 && rows === this.faults)
      throw badFile(
        where,
        `none of its ${counted(this.bad, 'row')} can be read: ${this.first}${this.bad > 1 ? ', …' : ''}`,
        undefined,
        'DECODE_FAILED',
        /is not UTF-8$/.test(this.first)
          ? NOT_UTF8
          : / has \d+ fields?,/.test(this.first)
            ? 'Where lines stand before its header, write skip: 1 (so many as there are) in this extract; else check delimiter, quote and header.'
            : undefined,
      )
  }

  /** Looks at what waits. */
  async finish(): Promise<void> {
    await this.spool.flush('all')
    this.names.clear()
  }

  /** Looks at what waits, amid a file or at its end. */
  private async empty(text: TextFile): Promise<void> {
    const names = this.wanted(text.names ?? text.found().names)
    if (names.length === 0) {
      // Its faults are counted apart from the rows of others.
      await this.spool.flush('marked')
      this.names.clear()
    }
    for (const name of names) this.names.add(name)
    await this.finish()
  }

  private wanted(names: string[]): string[] {
    return names.filter(name => name !== '' && (this.only?.has(name) ?? true))
  }

  private note(bad: number, line: number, reason: string): void {
    if (this.bad === 0) this.first = `line ${line} ${reason}`
    this.bad += bad
  }

  private async look(path: string): Promise<void> {
    const names = [...this.names]
    const layout = this.layout ?? jsonLayout(names)
    await this.finder.add(
      this.duck,
      layout.from(path),
      names,
      name => layout.text(name)!,
      layout.emptyIsText ?? false,
    )
  }

  private async countFaults(path: string): Promise<void> {
    const { from, rowFault } = jsonLayout([''])
    const faults = `(SELECT _line, ${rowFault!.reason} AS reason FROM ${from(path)})`
    const [found] = await this.duck.rows(
      `SELECT count(reason) AS bad, min(_line) AS line, arg_min(reason, _line) AS reason FROM ${faults} WHERE reason IS NOT NULL`,
    )
    const bad = Number(found!.bad)
    if (bad > 0) this.note(bad, Number(found!.line), String(found!.reason))
    this.faults += bad
  }
}
