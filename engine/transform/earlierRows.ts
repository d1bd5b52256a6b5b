import { join } from 'node:path'
import type { Part, StagedFile } from '../contracts/staging.ts'
import { type TaskName, taskName } from '../contracts/taskName.ts'
import type { Plan } from '../plan/plan.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { OrderedModel, SqlGraph } from '../sql/model.ts'
import { LAST_VALUES, RUN_AT } from '../sql/ownVariables.ts'
import { HASH, rowHash } from '../sql/rowHash.ts'
import { areSameParts } from '../staging/checksum.ts'
import { type DataSet, filesBeside, goodRows, originOf, rejectedRows } from '../staging/dataSet.ts'
import { type Image, imageFile, seenColumns } from '../staging/image.ts'
import { atomicWrite, linkOrCopy, readManifest, sizeOf } from '../staging/store.ts'
import type { Column } from '../types/logical.ts'
import { type Basis, hashOf, queryOf } from './basis.ts'
import { CHANGED_KEYS, changedKeysSql, wholeTables } from './changedKeys.ts'
import { extractSql } from './corrections.ts'
import type { Seen } from './seen.ts'
import type { JudgedExtract, Transformed } from './transformed.ts'

/** A model's rows as an earlier run staged them, or why they are computed. */
export interface Found {
  /** Absent where it is never taken: what it gives is another in each run. */
  basis?: Basis
  rows?: DataSet & { columns: Column[]; taken: string }
  /** Rows that an earlier run had of an incremental model, of which those of {@link CHANGED_KEYS} are to be computed anew. */
  update?: { parts: Part[]; columns: Column[]; run: string; keys: number }
  computed?: string
}

/**
 * Finds models whose rows would be those of an earlier run: their query, and what it calls, says the same, and the rows
 * that they read are the same. Whether rows are is told by their files, and where these are others, as of a table that is
 * read whole each night, by their number and the sums of their hashes.
 */
export class EarlierRows {
  private readonly context: RunContext
  private readonly graph: SqlGraph
  private readonly plan: Pick<Plan, 'reads' | 'refresh'>
  private readonly images: Map<string, Image>
  private readonly judged: JudgedExtract[]
  /** The data sets of this run, as they come to be. */
  private readonly sets: Transformed[]
  private readonly renewed: ReadonlySet<string>
  private readonly versions = new Map<string, Promise<string>>()
  private readonly compared = new Map<string, Promise<boolean>>()

  constructor(
    context: RunContext,
    graph: SqlGraph,
    plan: Pick<Plan, 'reads' | 'refresh'>,
    images: Map<string, Image>,
    judged: JudgedExtract[],
    sets: Transformed[],
  ) {
    this.context = context
    this.graph = graph
    this.plan = plan
    this.images = images
    this.judged = judged
    this.sets = sets
    const renewed = new Set(
      context.spec.loads.filter(({ table }) => plan.refresh?.includes(table)).map(({ from }) => from),
    )
    for (const { name, reads } of graph.models.toReversed())
      if (renewed.has(name)) for (const table of reads) renewed.add(table)
    this.renewed = renewed
  }

  /** Links the rows of a model into this run, where an earlier one has them. */
  async find(model: OrderedModel): Promise<Found> {
    const { tasks, duck, runAt, lastValues } = this.context
    const { name, volatile } = model
    if (!tasks.earlier) return {}
    if (volatile.length > 0) return { computed: `${volatile[0]!.name} gives another answer each time` }
    const variables = { ...this.graph.vars, [RUN_AT]: runAt.toISOString(), [LAST_VALUES]: lastValues ?? {} }
    const { query, tables } = queryOf(model, this.graph, this.plan.reads, variables, await duck.version())
    const basis: Basis = { query, tables: {} }
    for (const table of tables) basis.tables[table] = await this.versionOf(table)
    if (this.renewed.has(name)) return { basis, computed: 'a full refresh was asked for' }
    const last = await tasks.earlier<Transformed>(taskName('model', name))
    if (!last) return { basis, computed: 'no earlier run made it' }
    const { computed, changed = [] } = await this.difference(
      basis,
      last.run,
      last.output,
      model.keyed !== undefined,
    )
    if (computed !== undefined)
      return {
        basis,
        ...(changed.length > 0 && model.keyed ? await this.update(model, last, changed) : { computed }),
      }
    const rows = await this.take(name, last.run, last.output)
    if (!rows) return { basis, computed: `what run ${last.run} staged is gone or damaged` }
    return { basis, rows }
  }

  /** What is not as it was in a run; nothing where all is. Then the basis calls equal rows as that run did. `changed`: tables, where it is nothing else: the first, or `all`. */
  private async difference(
    basis: Basis,
    run: string,
    { basis: before }: Transformed,
    all: boolean,
  ): Promise<{ computed?: string; changed?: string[] }> {
    if (!before) return { computed: `run ${run} did not keep what it made it of` }
    const { query, tables } = basis
    const other = Object.keys({ ...query, ...before.query }).find(what => query[what] !== before.query[what])
    if (other !== undefined) return { computed: `${other} changed` }
    const changed: string[] = []
    for (const [table, version] of Object.entries(tables)) {
      const known = before.tables[table]!
      if (version === known || (await this.isSame(table, run))) tables[table] = known
      else changed.push(table)
      if (changed.length > 0 && !all) break
    }
    return changed.length === 0 ? {} : { computed: `rows of ${changed.join(', ')} changed`, changed }
  }

  /** Finds the keys of rows that changed, where only those tables did whose rows are divided by one. */
  private async update(
    model: OrderedModel,
    { run, output }: { run: string; output: Transformed },
    changed: string[],
  ): Promise<Found> {
    const { duck, root, staging } = this.context
    const { parts = [], columns, rows } = output
    const whole = wholeTables(model, this.graph)
    const sqls: string[] = []
    for (const table of changed) {
      const key = model.materialised?.keys?.find(each => each.table.toLowerCase() === table.toLowerCase())
      if (!key || whole.has(table)) return { computed: `rows of ${table} changed, which it reads whole` }
      const [now, then] = await this.bothSeen(table, run)
      if (!then) return { computed: `rows of ${table} changed, and what run ${run} read of it is gone` }
      if (hashOf(then.columns) !== hashOf(now.columns)) return { computed: `columns of ${table} changed` }
      sqls.push(changedKeysSql(root, key.column, now, then))
    }
    if (!(await staging.bring(parts))) return { computed: `what run ${run} staged is gone or damaged` }
    await duck.run(`CREATE OR REPLACE TEMP TABLE ${CHANGED_KEYS} AS ${sqls.join(' UNION ')}`)
    const [count] = await duck.rows(`SELECT count(*) AS n FROM ${CHANGED_KEYS}`)
    const keys = Number(count!.n)
    // With more keys than it has rows, it leaves rows out.
    const read = changed.reduce((sum, table) => sum + this.rowsNow(table), 0)
    if (keys * 2 > (keys > rows ? read : rows))
      return { computed: `rows of ${changed.join(', ')} changed, of most keys` }
    return { update: { parts, columns, run, keys } }
  }

  /** A hash that differs from an earlier run's unless a table's rows are in the same files, and the same ones are good. */
  private versionOf(table: string): Promise<string> {
    const known = this.versions.get(table) ?? this.hashFiles(table)
    this.versions.set(table, known)
    return known
  }

  private async hashFiles(table: string): Promise<string> {
    const set = this.sets.find(({ name }) => name === table)
    const rejects = set?.findings ? await this.rejectsOf(set.findings) : null
    const image = this.images.get(table)
    if (!image) return hashOf([set!.columns, originOf({ ...set!, parts: set!.parts! }), rejects])
    const nights = image.nights.map(({ parts, gone, out }) => [parts, gone, out])
    const corrected = [this.judgedOf(table).corrections, set?.corrected && originOf({ parts: set.parts! })]
    return hashOf([image.columns, nights, corrected, rejects])
  }

  private async rejectsOf(findings: string): Promise<unknown[]> {
    const { duck, root } = this.context
    const [found] = await duck.rows(
      `SELECT count(*)::VARCHAR AS n, sum(row)::VARCHAR AS s, sum(hash(row))::VARCHAR AS h FROM (SELECT DISTINCT row FROM (${rejectedRows(root, findings)}))`,
    )
    return [found!.n, found!.s, found!.h]
  }

  private judgedOf(extract: string): JudgedExtract {
    return this.judged.find(({ name }) => name === extract)!
  }

  /** Whether a table's rows are what they were in a run, in whatever files and order. */
  private isSame(table: string, run: string): Promise<boolean> {
    const key = `${table} ${run}`
    const known = this.compared.get(key) ?? this.compare(table, run)
    this.compared.set(key, known)
    return known
  }

  private async compare(table: string, run: string): Promise<boolean> {
    // Before any file is looked at.
    if (this.rowsNow(table) !== (await this.rowsThen(table, run))) return false
    const [now, then] = await this.bothSeen(table, run)
    if (!then || hashOf(then.columns) !== hashOf(now.columns)) return false
    return (await this.haveSameBytes(now, then)) || (await this.sumOf(now)) === (await this.sumOf(then))
  }

  private rowsNow(table: string): number {
    const set = this.sets.find(({ name }) => name === table)
    return set ? set.rows - set.rejected : this.judgedOf(table).account.rows
  }

  private async rowsThen(table: string, run: string): Promise<number | undefined> {
    if (!this.sets.some(({ name }) => name === table))
      return (await this.outputOf<JudgedExtract>(taskName('types', table), run))?.account.rows
    const found = await this.outputOf<Transformed>(taskName('model', table), run)
    return found && found.rows - found.rejected
  }

  /** Whether two tables are the same files once more. */
  private async haveSameBytes({ files: now }: Seen, { files: then }: Seen): Promise<boolean> {
    return (
      now !== undefined && now.shape === then?.shape && areSameParts(this.context.root, now.parts, then.parts)
    )
  }

  /** A table's rows now, and in a run; undefined where those are not here any more. */
  private async bothSeen(table: string, run: string): Promise<[Seen, Seen | undefined]> {
    const set = this.sets.find(({ name }) => name === table)
    if (!set) return [this.extractSeen(table), await this.earlierExtract(table, run)]
    const [now, then] = [this.setSeen(set), await this.earlierSet(table, run)]
    const isAll = (each: Seen | undefined) => each?.isAll === true
    if (!this.images.has(table) || !isAll(now) || !isAll(then)) return [now, then]
    const was = await this.earlierExtract(table, run)
    return [
      { ...now, image: this.extractSeen(table).image! },
      was?.image ? { ...then!, image: was.image } : then,
    ]
  }

  private async sumOf({ sql, columns }: Seen): Promise<string> {
    const [a, b] = HASH
    const hashes = `SELECT ${rowHash(columns, '_nf_r')} FROM (${sql}) AS _nf_r`
    const [sums] = await this.context.duck.rows(
      `SELECT concat_ws(' ', count(*), sum(${a}), sum(${b})) AS sums FROM (${hashes})`,
    )
    return String(sums!.sums)
  }

  private setSeen(set: Transformed): Seen {
    const { parts, findings, rejected, columns } = set
    return {
      sql: goodRows(this.context.root, { parts: parts!, ...(findings && { findings }) }),
      columns,
      isAll: rejected === 0 && !set.corrected,
    }
  }

  private extractSeen(extract: string): Seen {
    const { corrections } = this.judgedOf(extract)
    return this.imageSeen(extract, this.images.get(extract)!, corrections)
  }

  private imageSeen(extract: string, image: Image, corrections: string | undefined): Seen {
    const read = this.plan.reads.find(each => each.extract === extract)!
    const shape = hashOf(
      image.nights.map(({ columns, parts, gone = [], out, distinctBy }) => [
        columns,
        parts.length,
        gone.length,
        !out,
        distinctBy,
      ]),
    )
    return {
      sql: extractSql(this.context.root, image, read, corrections),
      columns: seenColumns(image),
      ...(corrections === undefined && { files: { parts: image.parts, shape }, image: { image, read } }),
    }
  }

  private async earlierSet(table: string, run: string): Promise<Seen | undefined> {
    const found = await this.outputOf<Transformed>(taskName('model', table), run)
    if (!found?.parts || !(await this.areThere([...found.parts, ...filesBeside(found)]))) return undefined
    return this.setSeen(found)
  }

  private async earlierExtract(table: string, run: string): Promise<Seen | undefined> {
    const { staging, spec } = this.context
    const judged = await this.outputOf<JudgedExtract>(taskName('types', table), run)
    if (!judged || !(await this.areThere(filesBeside(judged)))) return undefined
    const here = {
      read: (file: string) => staging.read(file),
      bring: (files: StagedFile[]) => this.areThere(files),
    }
    const image = await readManifest<Image>(here, imageFile(spec.job, run, table))
    return image && this.imageSeen(table, image, judged.corrections)
  }

  private async outputOf<T>(task: TaskName, run: string): Promise<T | undefined> {
    return (await this.context.tasks.earlier!<T>(task, run))?.output
  }

  // To bring them from elsewhere would take longer than to compute the model.
  private async areThere(files: StagedFile[]): Promise<boolean> {
    const { root, staging } = this.context
    return files.every(({ file }) => sizeOf(join(root, file)) >= 0) && staging.bring(files)
  }

  private async take(name: string, run: string, output: Transformed): Promise<Found['rows']> {
    const { root, staging } = this.context
    const { parts = [], columns, taken } = output
    const [part] = parts
    if (!part || parts.length > 1 || !(await staging.bring(parts))) return undefined
    const file = ownFile(this.context, `transformed/${name}`, '.parquet')
    try {
      await atomicWrite(join(root, file), temporary => linkOrCopy(join(root, part.file), temporary))
    } catch (error) {
      // Collected since it was looked at.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    return {
      columns,
      parts: [{ ...part, file }],
      origin: originOf({ ...output, parts }),
      taken: taken ?? run,
    }
  }
}
