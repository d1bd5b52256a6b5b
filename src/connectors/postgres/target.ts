import { NO_ROWS, type RowSum } from '../../../engine/batch/rowSum.ts'
import type {
  AheadRequest,
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StagedLoad,
  StageRequest,
  StagingAhead,
  SyncPoint,
} from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { PassingRows, TableChanges, TableStanding, Target } from '../../../engine/contracts/target.ts'
import { refuseMoved } from '../../../engine/plan/commitOwner.ts'
import { counted } from '../../../engine/plural.ts'
import { applyLoad, type Executor } from '../sql/apply.ts'
import { type LoadTables, staged } from '../sql/dialect.ts'
import { changesOf, checkChanges } from '../sql/obstacles.ts'
import { keyedByTable, refuseTwice } from '../sql/ownKey.ts'
import { applyInOrder } from '../sql/references.ts'
import { changesNothing, checkIdentity } from '../sql/standing.ts'
import { StagedAhead } from './ahead.ts'
import { referringTo } from './cascades.ts'
import { type Access, quoteTable } from './connect.ts'
import { describeTable } from './describe.ts'
import { explained } from './explained.ts'
import { fittingOf } from './fitting.ts'
import { keyText } from './keyClash.ts'
import { expressions, type TargetColumn } from './merge.ts'
import { refuseStrayBlanks } from './padding.ts'
import { dropOldPartitions, ensurePartitions, passingRows } from './partitions.ts'
import { sumStaged } from './readBack.ts'
import { refuseCut } from './rejectedRow.ts'
import { PostgresRowValidator } from './rowValidator.ts'
import { TargetSession } from './session.ts'
import { LOCAL } from './settings.ts'
import { stageLoad, stagingNames } from './staging.ts'
import { lockTables, none, noteStanding, noteUntouched, standingOf, tableOid } from './standing.ts'
import { columnsOfTables, dropOwn, ensureState, forgetLoads, referencesOf, targetColumns } from './state.ts'
import {
  addReferences,
  adoptedColumns,
  adoptTable,
  alterTable,
  analyzeTable,
  canAdopt,
  createTable,
  DIALECT,
  finishTable,
  LITTLE,
} from './table.ts'
import { tableIds } from './tableIds.ts'
import { FAMILY } from './types.ts'
import { PostgresVerifier } from './verifier.ts'

/** Time for clearing up after a failure, which may be that the target does not answer. */
const CLEAN_UP_MS = 4000

/** Longer names Postgres cuts off. */
const MAX_NAME_BYTES = 63
const SYSTEM_COLUMNS = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'])

/** Postgres as warehouse: COPY into unlogged staging tables, then one transaction. */
export class PostgresTarget implements Target {
  readonly family = FAMILY
  readonly verifier: PostgresVerifier
  readonly rowValidator: PostgresRowValidator
  tableId: ((table: string) => string) | undefined
  private readonly session: TargetSession
  private readonly name: string
  /** By staging table that can become its load's table: what was staged there. */
  private readonly adoptable = new Map<string, StageRequest>()
  /** Staging tables that were not made: their loads change no row. */
  private readonly untouched = new Set<string>()
  /** By staging table: loads of which rows are under way before all are known. */
  private readonly ahead = new Map<string, StagedAhead>()

  constructor(access: Access) {
    this.session = new TargetSession(access)
    this.verifier = new PostgresVerifier(this.session)
    this.rowValidator = new PostgresRowValidator(this.session)
    this.name = access.name
  }

  set onWait(tell: (wait: string) => void) {
    this.session.onWait = tell
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.tableId = await tableIds(this.session, signal)
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | undefined> {
    this.session.heed(signal)
    return describeTable(await this.session.client(), `${this.name}.${table}`, table)
  }

  refusesName(name: string, of: 'table' | 'column'): string | undefined {
    const bytes = Buffer.byteLength(name)
    if (bytes > MAX_NAME_BYTES)
      return `it has ${counted(bytes, 'byte')}, and Postgres takes ${MAX_NAME_BYTES}`
    return of === 'column' && SYSTEM_COLUMNS.has(name)
      ? 'each table of Postgres has a system column of that name'
      : undefined
  }

  standing(table: string, signal: AbortSignal): Promise<TableStanding> {
    this.session.heed(signal)
    return standingOf(this.session, table, signal)
  }

  passing(load: PlannedLoad, runAt: Date, signal: AbortSignal): Promise<PassingRows | undefined> {
    this.session.heed(signal)
    return passingRows(this.session, load, runAt, signal)
  }

  async syncPoints(job: string, signal: AbortSignal): Promise<SyncPoint[]> {
    this.session.heed(signal)
    if (!(await this.has('nightfreight.sync_points'))) return []
    const { rows } = await this.session.query(
      'SELECT extract, value, run FROM nightfreight.sync_points WHERE job = $1 ORDER BY extract',
      [job],
      signal,
    )
    return rows.map(({ extract, value, run }) => ({ extract: extract!, value: value!, run: run! }))
  }

  async committed(loadId: string, signal: AbortSignal): Promise<CommitResult | undefined> {
    this.session.heed(signal)
    if (!(await this.has('nightfreight.loads'))) return undefined
    const { rows } = await this.session.query('SELECT counts FROM nightfreight.loads WHERE load_id = $1', [
      loadId,
    ])
    return rows[0] && { counts: JSON.parse(rows[0].counts!) as LoadCounts[], repeated: true }
  }

  async stage(request: StageRequest, signal: AbortSignal): Promise<RowSum> {
    const { rows } = stagingNames(this.session, request.loadId, request.load)
    if (changesNothing(request)) {
      this.untouched.add(rows)
      return NO_ROWS
    }
    this.untouched.delete(rows)
    const { load, own } = await this.prepare(request, signal)
    const ahead = this.ahead.get(rows)
    this.ahead.delete(rows)
    const sent =
      (await ahead?.takeOver(request, own)) ??
      (await stageLoad(this.session, { ...request, load }, own, signal))
    if (own) this.adoptable.set(rows, request)
    else this.adoptable.delete(rows)
    return sent
  }

  async stageAhead(request: AheadRequest, signal: AbortSignal): Promise<StagingAhead | undefined> {
    const { load, own } = await this.prepare(request, signal)
    if (!own) return undefined
    const ahead = await StagedAhead.begin(this.session, { ...request, load }, own, signal)
    this.ahead.set(stagingNames(this.session, request.loadId, load).rows, ahead)
    return ahead
  }

  /** The load as it is staged, and the columns of its table where what is staged becomes that. */
  private async prepare(request: Pick<StageRequest, 'load'>, signal: AbortSignal) {
    this.session.heed(signal)
    await ensureState(this.session)
    const exists = await this.check(request.load)
    const load = await keyedByTable(request.load, table => this.describe(table, signal))
    const adopted = !exists && load.whole && (await canAdopt(this.session, load, signal))
    return { load, own: adopted ? await adoptedColumns(this.session, load, signal) : undefined }
  }

  async commit(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    this.session.heed(signal)
    this.verifier.forget()
    await ensureState(this.session)
    for (const load of this.touched(commit)) {
      const exists = await this.check(load)
      const { rows, keys } = stagingNames(this.session, commit.loadId, load)
      if (!exists && this.adoptable.has(rows)) continue
      await this.session.query(`${LITTLE}; ANALYZE ${rows}, ${keys}`, [], signal).catch(async error => {
        // A repeat finds its staging tables gone: committed() below knows why.
        if (!(await this.committed(commit.loadId, signal))) throw error
      })
    }
    // Each statement sees what is committed when it begins.
    await this.session.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${LOCAL}`, [], signal)
    let counts: LoadCounts[] | undefined
    try {
      counts = await this.merge(commit, signal)
      if (counts) {
        await check?.(counts)
        counts = await dropOldPartitions(
          this.session,
          { ...commit, loads: this.touched(commit) },
          counts,
          signal,
        )
        const noted = 'UPDATE nightfreight.loads SET counts = $2 WHERE load_id = $1'
        await this.session.query(noted, [commit.loadId, JSON.stringify(counts)], signal)
        await this.dropStaged(commit, signal)
      }
    } catch (error) {
      await this.session.query('ROLLBACK').catch(() => {})
      throw (
        (await explained(this.session, error, commit.loadId, this.touched(commit)).catch(() => undefined)) ??
        error
      )
    }
    if (!counts) {
      await this.session.query('ROLLBACK')
      return (await this.committed(commit.loadId, signal))!
    }
    await this.session.query('COMMIT', [], signal)
    await forgetLoads(this.session, commit, signal)
    return { counts, repeated: false }
  }

  async abandon(loadId: string): Promise<void> {
    for (const [table, ahead] of this.ahead)
      if (ahead.loadId === loadId) {
        this.ahead.delete(table)
        await ahead.cancel()
      }
    // What it leaves, a later load of the job clears away.
    this.session.heed(AbortSignal.timeout(CLEAN_UP_MS))
    await dropOwn(this.session, loadId)
  }

  async close(): Promise<void> {
    await this.session.close()
  }

  /** Everything between BEGIN and COMMIT; undefined where the load id is there already. */
  private async merge(commit: LoadCommit, signal: AbortSignal): Promise<LoadCounts[] | undefined> {
    const { loadId, job, run, loads, syncPoints } = commit
    const query = (sql: string, values: unknown[] = []) => this.session.query(sql, values, signal)
    // Another attempt under the same id waits here until this one has ended.
    const fresh = await query(
      `INSERT INTO nightfreight.loads VALUES ($1, $2, $3, current_timestamp, '[]') ON CONFLICT DO NOTHING`,
      [loadId, job, run],
    )
    if (fresh.count === 0) return undefined
    const tables = loads.map(({ table }) => table)
    await lockTables(this.session, tables, signal)
    refuseMoved(await this.syncPoints(job, signal), commit, this.name)
    const columns = await columnsOfTables(this.session, tables)
    const changing = this.touched(commit)
    const untouched = loads.filter(load => !changing.includes(load))
    // Before a row changes: a column of a foreign key is checked anew when it gets another type.
    for (const load of loads) {
      const changes = this.changesOf(load, columns.get(load.table)!)
      if (untouched.includes(load)) checkChanges(changes)
      await alterTable(this.session, load, changes.statements, signal)
    }
    const touched: StagedLoad[] = []
    for (const load of changing) touched.push(await keyedByTable(load, table => this.describe(table, signal)))
    const { references, late, deferrable } = await referencesOf(this.session, touched)
    if (deferrable) await query('SET CONSTRAINTS ALL DEFERRED')
    const helps = 'make one of their foreign keys DEFERRABLE: it is then checked at the end of the load.'
    const changed = await applyInOrder(
      touched,
      references,
      (load, between) => this.apply(load, { commit, touched, between }, signal),
      { helps, late },
    )
    if (deferrable) await query('SET CONSTRAINTS ALL IMMEDIATE')
    const left = await noteUntouched(this.session, untouched, commit, signal)
    const counts = [...changed, ...untouched.map(load => ({ ...none(load), rows: left.get(load.table)! }))]
    const created = touched.filter(({ table }) =>
      counts.some(count => count.table === table && count.created),
    )
    await addReferences(this.session, created, signal)
    const of = (what: 'extract' | 'value' | 'run') => syncPoints.map(point => point[what])
    await query(
      `INSERT INTO nightfreight.sync_points SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[])
       ON CONFLICT (job, extract) DO UPDATE SET value = excluded.value, run = excluded.run`,
      [job, of('extract'), of('value'), of('run')],
    )
    return counts
  }

  private async apply(
    load: StagedLoad,
    {
      commit,
      touched,
      between,
    }: { commit: LoadCommit; touched: StagedLoad[]; between?: () => Promise<void> },
    signal: AbortSignal,
  ): Promise<() => Promise<LoadCounts>> {
    const where = `${this.name}.${load.table}`
    const query = (sql: string) => this.session.query(sql, [], signal, where)
    const target = quoteTable(load.table)
    const oid = await tableOid(this.session, load.table)
    checkIdentity(load, oid, where)
    const created = oid === undefined
    const { rows: staging, keys } = stagingNames(this.session, commit.loadId, load)
    const adoptable = created && this.adoptable.get(staging)
    if (adoptable) {
      await between?.()
      const counts = await this.adopt(load, staging, commit, adoptable, signal)
      return async () => counts
    }
    if (created) await createTable(this.session, load, signal)
    const columns = await targetColumns(this.session, load.table)
    checkChanges(changesOf(load, where, one => fittingOf(one, columns)))
    const tables: LoadTables = {
      target,
      staging,
      keys,
      where,
      dialect: DIALECT,
      ...expressions(load, columns),
    }
    const executor: Executor = {
      change: async sql => (await query(sql)).count,
      count: async sql => Object.values((await query(sql)).rows[0]!).map(Number),
      referring: referringTo(this.session, load, commit, touched),
    }
    // Of a key that the load itself has.
    const planned = commit.loads.find(({ table }) => table === load.table)!
    await refuseStrayBlanks(this.session, planned, columns, staging, where)
    if (!created) {
      await refuseCut(this.session, load, columns, staging, where)
      if (load.key.length > planned.key.length) {
        const compared = load.key.map(name => staged(tables, name)).join(', ')
        const keys = { staging, where, compared, shown: keyText(load, '_nf_s') }
        await refuseTwice(load, keys, async sql => (await query(sql)).rows)
      }
      await ensurePartitions(load, tables, query)
    }
    const end = await applyLoad(load, commit.runAt, tables, executor, created, between)
    if (created) {
      await finishTable(this.session, load, where, signal)
      await analyzeTable(this.session, load, where, signal)
    }
    return async () => {
      const counts = await end()
      const rows = await noteStanding(this.session, load, counts, commit, signal)
      return { ...counts, rows, ...(created && { created }) }
    }
  }

  /** What is staged becomes the table: all its rows are new, and none is written twice. */
  private async adopt(
    load: StagedLoad,
    staging: string,
    commit: LoadCommit,
    request: StageRequest,
    signal: AbortSignal,
  ) {
    const where = `${this.name}.${load.table}`
    if (load.verify !== 'off')
      this.verifier.know(commit.loadId, load, await sumStaged(this.session, staging, load, request, signal))
    await adoptTable(this.session, load, staging, signal)
    await finishTable(this.session, load, where, signal)
    await analyzeTable(this.session, load, where, signal)
    const counts = { ...none(load), inserted: request.rows }
    const rows = await noteStanding(this.session, load, counts, commit, signal, request.rows)
    return { ...counts, rows, created: true }
  }

  private async dropStaged(commit: LoadCommit, signal: AbortSignal): Promise<void> {
    const names = (load: StagedLoad) => Object.values(stagingNames(this.session, commit.loadId, load))
    const tables = this.touched(commit).flatMap(names)
    if (tables.length > 0) await this.session.query(`DROP TABLE IF EXISTS ${tables.join(', ')}`, [], signal)
  }

  /** The loads of a commit that change rows. */
  private touched({ loadId, loads }: LoadCommit): StagedLoad[] {
    return loads.filter(load => !this.untouched.has(stagingNames(this.session, loadId, load).rows))
  }

  async tableChanges(load: PlannedLoad): Promise<TableChanges> {
    return this.changesOf(load, await targetColumns(this.session, load.table))
  }

  private changesOf(load: PlannedLoad, columns: TargetColumn[]): TableChanges {
    if (columns.length === 0) return { statements: [] }
    return changesOf(load, `${this.name}.${load.table}`, one => fittingOf(one, columns))
  }

  /** Whether the load's table exists; fails where it does and cannot take the load. */
  private async check(load: StagedLoad): Promise<boolean> {
    if (!(await this.has(quoteTable(load.table)))) return false
    checkChanges(await this.tableChanges(load))
    return true
  }

  private async has(relation: string): Promise<boolean> {
    return (await this.session.query('SELECT to_regclass($1) AS oid', [relation])).rows[0]!.oid !== null
  }
}
