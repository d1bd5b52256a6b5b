import { didYouMean, nearest } from '../nearest.ts'
import { stagedType } from '../types/duckType.ts'
import { bucketKeyFault } from './buckets.ts'
import { type Described, rowCheckColumns, setCheckColumns } from './checkColumns.ts'
import { Duck, quoteName, SqlError } from './duckdb.ts'
import { enrichFault } from './enriched.ts'
import { type Fault, SqlInvalid } from './faults.ts'
import { candidatesOf, faultOf, whollyWorded } from './locate.ts'
import { MacroSession } from './macroSession.ts'
import type { OrderedCheck, OrderedMacro, SqlGraph } from './model.ts'
import { usedMacros } from './order.ts'
import { firstPlace, isGenerated, type Query, type SqlFile, type SqlNode, topOf } from './parse.ts'
import { withoutMissing } from './repair.ts'
import { charactersIn, placeOf, stripped, tokensOf } from './text.ts'
import { setVariables } from './variables.ts'

/** What binding a job's SQL found. */
export interface Bound {
  faults: Fault[]
  /** Of every table whose columns are known. */
  columns: Map<string, Described[]>
  /** What fails for a row of NULLs, where that was tried. */
  failing: Fault[]
  /** Files that could not be bound, and the extracts on whose columns that waits. */
  unknown: { file: string; extracts: string[] }[]
}

/**
 * Binds a job's SQL by DuckDB itself, in a session of its own, to empty tables of the extracts' columns as far as they are
 * known: a column, function, type or argument that is not there is found before a row is read. What depends on a file at
 * fault is left out. Where it is to be `tried`, each query is run on rows of NULLs: that finds literals that are not of the
 * type that they are compared with or stand beside, which DuckDB casts only then.
 */
export async function bindJob(
  graph: SqlGraph,
  known: ReadonlyMap<string, Described[]>,
  faulty: ReadonlySet<string> = new Set(),
  tried = false,
): Promise<Bound> {
  const duck = await Duck.open({ threads: 1, folders: [] })
  try {
    await setVariables(duck, graph.vars, new Date('2000-01-01'))
    return await new Binding(duck, graph, faulty, tried).all(known)
  } finally {
    duck.close()
  }
}

/** How long a query is tried. */
const TRY_MS = 250
/** Columns and functions of a query that are not there, as far as they are told at once. */
const MAX_REPAIRS = 20

class Binding {
  private readonly duck: Duck
  private readonly graph: SqlGraph
  /** Files with a fault, and tables and macros that depend on one. */
  private readonly broken: Set<string>
  /** Models whose columns are not known, with the extracts that is on account of. */
  /** Models and files whose columns' names are known, and not all their types: something that they name is not there. */
  private readonly guessed = new Set<string>()
  /** What is not there, and was told. */
  private readonly lost = new Set<string>()
  private readonly open = new Map<string, string[]>()
  private readonly found: Bound = { faults: [], columns: new Map(), failing: [], unknown: [] }

  private readonly tried: boolean

  constructor(duck: Duck, graph: SqlGraph, faulty: ReadonlySet<string>, tried: boolean) {
    this.duck = duck
    this.tried = tried
    this.graph = graph
    this.broken = new Set(faulty)
  }

  async all(known: ReadonlyMap<string, Described[]>): Promise<Bound> {
    const { models, checks, macros } = this.graph
    const session = new MacroSession(this.duck, macros, macro => this.macro(macro))
    for (const [name, columns] of known) await this.table(name, columns)
    await session.made([...known.keys()])
    for (const model of models) {
      if (model.extract) continue
      const columns = await this.describe(model, model.reads)
      if (!columns) {
        const unknown = this.found.unknown.find(({ file }) => file === model.file)
        if (unknown) this.open.set(model.name, unknown.extracts)
        else this.broken.add(model.name)
        continue
      }
      if (this.guessed.has(model.name)) {
        await this.table(
          model.name,
          columns.map(({ name, type }) => ({ name, type: stagedType(type) ?? 'VARCHAR' })),
        )
        continue
      }
      const twice = caseTwins(columns.map(({ name }) => name))
      if (twice) {
        this.fault(twiceFault(model, this.graph.queries.get(model.file), twice))
        this.broken.add(model.name)
        continue
      }
      const reserved = columns.find(({ name }) => isReserved(name))
      if (reserved) {
        const { message, hint } = keptName(reserved.name)
        this.fault({ file: model.file, ...placed(model.sql, reserved.name), message, hint })
        this.broken.add(model.name)
        continue
      }
      const wrong = columns.find(({ type }) => stagedType(type) === undefined)
      if (wrong) {
        this.fault({ file: model.file, ...unstaged(wrong.name, wrong.type) })
        this.broken.add(model.name)
        continue
      }
      const { buckets, materialised } = model
      const divided = buckets ?? materialised
      const keyFault =
        divided?.keys &&
        bucketKeyFault(divided.keys, buckets ? '@buckets' : '@materialised', this.found.columns)
      if (keyFault) this.fault({ file: model.file, place: divided.place, ...keyFault })
      if (model.partial) {
        this.broken.add(model.name)
        continue
      }
      const { enrich } = model
      const unfit = enrich && enrichFault({ file: model.file, enrich }, columns)
      if (unfit) {
        this.fault(unfit)
        this.broken.add(model.name)
        continue
      }
      const given = (enrich?.gives ?? []).map(({ name, native }) => ({ name, type: native }))
      await this.table(model.name, [...columns, ...given])
      await session.made([model.name])
    }
    for (const check of checks) {
      const missing = this.missingColumn(check)
      if (missing) {
        this.found.faults.push(missing)
        continue
      }
      const columns = await this.describe(check, [...check.reads, ...(check.model ? [check.model] : [])])
      if (!columns || this.guessed.has(check.file)) continue
      try {
        if (check.model)
          rowCheckColumns(
            check,
            columns,
            this.found.columns.get(check.model)!.map(({ name }) => name),
          )
        else setCheckColumns(check, columns)
      } catch (error) {
        if (!(error instanceof SqlInvalid)) throw error
        this.found.faults.push(...error.faults.map(fault => ({ ...begun(check), ...fault })))
      }
    }
    for (const name of this.guessed) this.found.columns.delete(name)
    return this.found
  }

  /** A column that a declared check names and its table has not, or has as another type than it is compared with. */
  private missingColumn({ file, columns: named = [] }: OrderedCheck): Fault | undefined {
    for (const { table, column, type } of named) {
      const described = this.found.columns.get(table)
      if (!described) continue
      const known = described.map(({ name }) => name)
      const own = described.find(({ name }) => name.toLowerCase() === column.toLowerCase())
      // DuckDB would make numbers of the texts: '01' is 1 then, and 'a' an error.
      if (own && this.guessed.has(table)) continue
      if (own && type === 'number' && own.type === 'VARCHAR')
        return {
          file,
          message: `${column} of ${table} is text, and is compared with numbers`,
          hint: 'Write them in quotes where texts are meant ("1"); else make the column a number in a model.',
        }
      if (own && type === 'boolean' && own.type !== 'BOOLEAN')
        return {
          file,
          message: `${column} of ${table} is ${own.type}, and is compared with true or false`,
          hint: 'Write them in quotes where texts are meant ("true"); else make the column a BOOLEAN in a model.',
        }
      if (own) continue
      return {
        file,
        message: `${table} has no column ${column}${didYouMean(column, known)}`,
        hint: `Its columns: ${known.join(', ')}.`,
      }
    }
    return undefined
  }

  private fault(fault: Fault): void {
    this.found.faults.push(fault)
    this.broken.add(fault.file)
  }

  private async table(name: string, columns: Described[]): Promise<void> {
    const nulls = columns.map(column => `NULL::${column.type} AS ${quoteName(column.name)}`)
    const rows = this.tried ? '' : ' LIMIT 0'
    await this.duck.run(`CREATE TABLE ${quoteName(name)} AS SELECT ${nulls.join(', ')}${rows}`)
    this.found.columns.set(name, columns)
  }

  /** Runs a query on the rows of NULLs, for a moment. */
  private async try(source: SqlFile): Promise<void> {
    const timer = setTimeout(() => this.duck.interrupt(), TRY_MS)
    try {
      await this.duck.run(`SELECT * FROM (${stripped(source.sql)}\n) LIMIT 1`)
    } catch (error) {
      if (!(error instanceof SqlError) || !/^(Conversion|Invalid Input)$/.test(error.type)) return
      const { message, ...fault } = faultOf(source, error)
      // A rule that settings declare has one text, which no row makes another.
      if (isGenerated(source.file)) return this.fault({ ...fault, message })
      this.found.failing.push({ ...fault, message: `${message}: tried on a row of NULLs` })
    } finally {
      clearTimeout(timer)
    }
  }

  private async macro(macro: OrderedMacro): Promise<void> {
    if (this.isBroken(macro.file, usedMacros(macro.mentions, this.graph.macros))) {
      this.broken.add(`macro ${macro.name}`)
      return
    }
    try {
      await this.duck.run(macro.sql)
    } catch (error) {
      this.broken.add(`macro ${macro.name}`)
      this.fault(worded(macro, error))
    }
  }

  private isBroken(file: string, macros: OrderedMacro[]): boolean {
    return this.broken.has(file) || macros.some(({ name }) => this.broken.has(`macro ${name}`))
  }

  /** The columns of a file's query; undefined where they cannot be known, or it is at fault. */
  private async describe(source: SqlFile, reads: string[]): Promise<Described[] | undefined> {
    const query = this.graph.queries.get(source.file)
    const macros = query ? usedMacros(query, this.graph.macros) : []
    if (!query || this.isBroken(source.file, macros) || reads.some(table => this.broken.has(table)))
      return undefined
    const missing = reads.filter(table => !this.found.columns.has(table))
    if (missing.length > 0) {
      const extracts = [...new Set(missing.flatMap(table => this.open.get(table) ?? [table]))]
      this.found.unknown.push({ file: source.file, extracts })
      return undefined
    }
    const own = await this.bound(
      source,
      query,
      reads.some(table => this.guessed.has(table)),
    )
    if (own && this.tried && !this.guessed.has(source.file)) await this.try(source)
    return own
  }

  /**
   * The columns of a query, with what is not there told, each column and function: what is put aside has no type. Of a query
   * that reads what is `guessed` nothing else is told: it may follow from that.
   */
  private async bound(source: SqlFile, query: Query, guessed: boolean): Promise<Described[] | undefined> {
    let { sql } = source
    let back = (at: number) => at
    let isRepaired = false
    for (let round = 0; round < MAX_REPAIRS; round++)
      try {
        const rows = await this.duck.rows(`DESCRIBE ${stripped(sql)}`)
        if (guessed || isRepaired) {
          this.guessed.add(source.file)
          const { name } = this.graph.models.find(({ file }) => file === source.file) ?? {}
          if (name !== undefined) this.guessed.add(name)
        }
        return rows.map(({ column_name, column_type }) => ({
          name: String(column_name),
          type: String(column_type),
        }))
      } catch (error) {
        if (!(error instanceof SqlError)) throw error
        const repaired = withoutMissing(sql, error)
        // It may be a macro of a file that could not be read.
        const unread = [...this.broken].some(file => file.startsWith('../macros/'))
        const inMacro = unread && error.missing && error.missing.kind !== 'column'
        if (inMacro) this.broken.add(source.file)
        else if (this.inMacro(source, query, error)) return undefined
        else if (repaired ? !this.follows(repaired.name, error) : !isRepaired && !guessed)
          this.fault(whollyWorded({ source, sql, back, query, columns: this.found.columns }, error))
        if (inMacro || !repaired || isGenerated(source.file)) return undefined
        const earlier = back
        back = at => earlier(repaired.back(at))
        sql = repaired.sql
        isRepaired = true
        this.lost.add(repaired.name.toLowerCase())
      }
    return undefined
  }

  /** Tells what is wrong within a macro with what a query gives it, at its call: DuckDB's place is one of the macro's text. */
  private inMacro(source: SqlFile, query: Query, error: SqlError): boolean {
    const name = /argument types '(\w+)\(/.exec(error.text)?.[1]?.toLowerCase()
    if (name === undefined || query.functions.some(each => each.name === name)) return false
    const macro = usedMacros(query, this.graph.macros).find(({ mentions }) =>
      mentions.functions.some(each => each.name === name),
    )
    if (!macro) return false
    const { at } = query.functions.find(each => each.name === macro.name.toLowerCase()) ?? {}
    const { place: _, ...fault } = faultOf(source, error)
    this.fault({
      ...fault,
      ...(at !== undefined && !isGenerated(source.file) && { place: placeOf(source.sql, at) }),
      message: `${fault.message.replace(/\. You might need.*$/, '')}: within the macro ${macro.name} of ${macro.file}:${macro.place.line}`,
    })
    return true
  }

  /** Whether a name is not there since another one was not, of which it was to be: that one was told. */
  private follows(name: string, error: SqlError): boolean {
    if (this.lost.size === 0) return false
    const meant = nearest(name, candidatesOf(error))
    return meant !== undefined && this.lost.has(meant.toLowerCase())
  }
}

/** The place of the last word of a text that is a name. */
function placed(sql: string, name: string): Pick<Fault, 'place'> {
  const found = [...tokensOf(sql)].findLast(({ text }) => text === name || text === quoteName(name))
  return found ? { place: placeOf(sql, found.start) } : {}
}

/** What is wrong with a query that gives a column twice; at the * that gives it again, where one does. */
function twiceFault({ file, sql }: SqlFile, query: Query | undefined, [one, other]: [string, string]): Fault {
  const outputs = (topOf(query?.tree)?.select_list as SqlNode[] | undefined) ?? []
  const star = outputs.findLast(({ type, query_location: at }) => type === 'STAR' && at !== undefined)
  const named = outputs.findLast(
    ({ alias, column_names: names }) => (alias || names?.at(-1))?.toLowerCase() === other.toLowerCase(),
  )
  const at = firstPlace(star ?? (named?.alias ? undefined : named))
  const name = quoteName(other)
  const written = star?.relation_name ? `${star.relation_name}.*` : '*'
  return {
    file,
    ...(at !== undefined && !isGenerated(file)
      ? { place: placeOf(sql, charactersIn(sql, at)) }
      : placed(sql, other)),
    message:
      one === other
        ? `gives the column ${one} twice`
        : `gives two columns that are one for SQL: ${one} and ${other}`,
    hint: star
      ? `Leave one of them out: ${written} EXCLUDE (${name}); or give one another name: ${name} AS ….`
      : `Give one of them another name: ${name} AS …`,
  }
}

/** Where a query begins; nowhere of one that nobody has written. */
function begun({ file, sql }: SqlFile): Pick<Fault, 'place'> {
  const [first] = tokensOf(sql)
  return first && !isGenerated(file) ? { place: placeOf(sql, first.start) } : {}
}

function worded(source: SqlFile, error: unknown): Fault {
  if (!(error instanceof SqlError)) throw error
  return faultOf(source, error)
}

/** What is wrong with a column of a type that is not staged. */
export const unstaged = (name: string, type: string) => ({
  message: `column ${name} has type ${type}, which cannot be kept exactly`,
  hint: `Write ${quoteName(name)}::VARCHAR AS ${quoteName(name)}.`,
})

/** Whether a column's name is kept for what the engine knows of rows: ours, and two that DuckDB has for those of every file. */
export const isReserved = (name: string) => /^(_nf_.*|file_row_number|file_index)$/i.test(name)

/** What is wrong with a column of such a name. */
export const keptName = (name: string) => ({
  message: `no column can be called ${name}`,
  hint: 'Such names are kept for what is known of rows: give it another one where it comes from: in the file, a view, or a query of the extract.',
})

/** Two names that differ in letters' case only. */
export function caseTwins(names: string[]): [string, string] | undefined {
  const seen = new Map<string, string>()
  for (const name of names) {
    const other = seen.get(name.toLowerCase())
    if (other !== undefined) return [other, name]
    seen.set(name.toLowerCase(), name)
  }
  return undefined
}
