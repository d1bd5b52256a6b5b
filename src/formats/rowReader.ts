import { copyFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { Sink } from '../../engine/contracts/source.ts'
import { counted } from '../../engine/plural.ts'
import type { Duck } from '../../engine/sql/duckdb.ts'
import type { Column } from '../../engine/types/logical.ts'
import { fileColumn } from './column.ts'
import { type FieldStyle, fieldSql } from './field.ts'
import type { Layout } from './layout.ts'
import type { ReadMemory } from './memory.ts'
import { type Reject, RowSpool } from './rowSpool.ts'
import type { RowSink } from './split.ts'
import type { TextFile } from './textFormat.ts'
import { type Texts, writeRejects, writeTyped } from './typed.ts'

/** A part on its way; `exact`: none of its rows can be rejected. */
interface ReadPart {
  path: string
  exact: boolean
}

/**
 * Reads files one after another into Parquet parts. Rows of small files share a part. A file's parts reach the sink
 * only once all of it was read, so that a file found bad at its last byte leaves nothing.
 */
export class RowReader {
  private readonly duck: Duck
  private readonly memory: ReadMemory
  private readonly where: string
  private readonly columns: Column[]
  private readonly folder: string
  private readonly sink: Sink
  private readonly spool: RowSpool
  private layout: Layout | undefined
  private style: FieldStyle = {}
  private names: string[] = []
  private written = 0
  /** Parts of whole files, and of the file under way. */
  private done: ReadPart[] = []
  private pending: ReadPart[] = []
  private target = this.done

  /** `where` names the connection in errors; `folder` takes what is on its way. */
  constructor(duck: Duck, memory: ReadMemory, where: string, columns: Column[], folder: string, sink: Sink) {
    this.duck = duck
    this.memory = memory
    this.where = where
    this.columns = columns
    this.folder = folder
    this.sink = sink
    this.spool = new RowSpool(folder, (path, rejects) => this.parse(path, rejects))
  }

  /** Reads one file; `read` gives its parts to {@link text} or {@link typed}. What fails there leaves no row of it. */
  async file(name: string, read: () => Promise<void>): Promise<void> {
    if (this.names.length > 500) await this.flush()
    this.names.push(name)
    this.target = this.pending
    try {
      await read()
    } catch (error) {
      for (const { path } of this.pending.splice(0)) rmSync(path, { force: true })
      this.spool.takeBack()
      throw error
    } finally {
      this.target = this.done
    }
    this.spool.mark()
    this.done.push(...this.pending.splice(0))
    await this.handOver()
  }

  /** Rows of the file under way, or of a member of it called `name`. */
  async text(file: TextFile, name: string, style: FieldStyle): Promise<void> {
    if (this.layout?.id !== file.layout.id) await this.flushEarlier()
    this.layout = file.layout
    this.style = style
    const { spool } = this
    if (this.names.at(-1) !== name) this.names.push(name)
    const index = () => this.names.length - 1
    const sink: RowSink = {
      row: (source, from, to, line) => spool.add(index(), line, file.layout.separator, source, from, to),
      bad: (value, line, reason) => spool.reject({ column: `${name} line ${line}`, value, reason }),
      reserve: async bytes => {
        // Text grows by the two numbers before each row, JSON by its second copy.
        if (spool.fits(bytes * 8)) return
        await this.flushMarked()
        if (!spool.fits(bytes * 8)) await spool.flush('all')
      },
    }
    await file.read(sink)
  }

  /** Rows of the file under way that have types of their own. */
  async typed(texts: Texts): Promise<void> {
    await this.flushEarlier()
    await this.write(texts)
  }

  /** A file of rows of the file under way as they are staged: it is the reader's from now on. */
  async staged(path: string): Promise<void> {
    await this.flushEarlier()
    const part = this.nextPath()
    renameSync(path, part)
    this.target.push({ path: part, exact: true })
  }

  /** Sends a file to the quarantine that could not be read. */
  reject(name: string, reason: string): void {
    this.spool.reject({ column: name, value: '', reason })
    this.spool.mark()
  }

  async end(): Promise<void> {
    await this.flush()
    await this.handOver()
  }

  /** Parses the rows that wait: of two rows of one key the one read later stays. */
  private async flushEarlier(): Promise<void> {
    await this.flushMarked()
    await this.spool.flush('all')
  }

  /** Parses the rows of the files before the one under way. */
  private async flushMarked(): Promise<void> {
    if (!this.spool.hasMarked) return
    const { target } = this
    this.target = this.done
    await this.spool.flush('marked')
    this.target = target
  }

  private async flush(): Promise<void> {
    await this.spool.flush('all')
    this.names = []
  }

  private async parse(path: string | undefined, rejects: Reject[]): Promise<void> {
    if (path !== undefined) {
      const layout = this.layout!
      const style = { ...this.style, emptyIsText: layout.emptyIsText }
      const texts: Texts = {
        from: layout.from(path),
        names: this.names,
        value: column => {
          const sql = layout.text(column.name)
          if (sql === undefined) return undefined
          const field = fieldSql(sql, column.type, style, fileColumn(column).notation)
          return { text: sql, ...field, ...(layout.isError && { error: layout.isError(sql) }) }
        },
        rowFault: layout.rowFault,
      }
      await this.write(texts)
    }
    if (rejects.length === 0 || !this.columns.some(({ name }) => name === REJECTED)) return
    const part = { path: this.nextPath(), exact: false }
    await writeRejects(this.duck, this.columns, rejects, part.path)
    this.target.push(part)
  }

  private async write(texts: Texts): Promise<void> {
    const where = `${this.where} ${texts.names.length === 1 ? texts.names[0] : counted(texts.names.length, 'file')}`
    const path = this.nextPath()
    const write = () => writeTyped(this.duck, this.where, this.columns, texts, path)
    this.target.push({ path, exact: await this.memory.run(where, write) })
  }

  private async handOver(): Promise<void> {
    for (const { path: part, exact } of this.done.splice(0))
      await this.sink.file(async path => put(part, path), exact)
  }

  private nextPath(): string {
    return join(this.folder, `part-${this.written++}.parquet`)
  }
}

function put(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    copyFileSync(from, to)
    rmSync(from)
  }
}
