import type {
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StagedLoad,
  StageRequest,
  SyncPoint,
} from '../../../engine/contracts/load.ts'
import { goneRows } from '../../../engine/contracts/semantics.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { TableChanges, TableStanding, Target } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { refuseMoved } from '../../../engine/plan/commitOwner.ts'
import { counted } from '../../../engine/plural.ts'
import { changeError, changesOf, checkChanges } from '../sql/obstacles.ts'
import { keyedByTable, refuseTwice } from '../sql/ownKey.ts'
import { checkIdentity } from '../sql/standing.ts'
import { applyLoads } from './applyLoads.ts'
import { primaryKey } from './catalog.ts'
import { type LoadTables, MOVES_COLUMN } from './changes.ts'
import { clashOf, hasCode, isDuplicate } from './clash.ts'
import { type Access, ask, type Session } from './connect.ts'
import { fittingOf } from './fitting.ts'
import { bound, foreignKeysOf } from './foreignKeys.ts'
import { exactCollation, foldedKey, keyText } from './keyClash.ts'
import { indexDefinitions, linkedColumns, referenceStatements } from './made.ts'
import { fillMade, noteMade, refuseMade, settleMade } from './publish.ts'
import { MysqlRowValidator } from './rowValidator.ts'
import { placeColumns } from './scd2.ts'
import { sendParts } from './sendParts.ts'
import { standingOf, stillThere, tableIdentity } from './standing.ts'
import {
  dropAbandoned,
  dropOwn,
  ensureState,
  forgetLoads,
  ownComment,
  stagingNames,
  stagingTables,
  targetTable,
} from './state.ts'
import { tableIds } from './tableIds.ts'
import { withTableLocks } from './tableLocks.ts'
import { change, createOwnTable, createTable, MAX_COLUMNS, TargetSession } from './targetSession.ts'
import {
  columnTypes,
  indexedKey,
  ownColumns,
  type TargetTable,
  uniqueColumns,
  valueRule,
} from './targetTypes.ts'
import { identifier, literal, logicalColumn, refusedName } from './types.ts'
import { MysqlVerifier } from './verifier.ts'

/** Time for clearing up after a failure, which may be that the target does not answer. */
const CLEAN_UP_MS = 4000

/**
 * MySQL or MariaDB as warehouse: LOAD DATA LOCAL into staging tables, then one transaction. Definitions commit by
 * themselves there, so tables are made before the transaction, under names of their own until it has committed, and staging
 * tables dropped after it.
 */
export class MysqlTarget implements Target {
  readonly verifier: MysqlVerifier
  readonly rowValidator: MysqlRowValidator
  readonly refusesName = refusedName
  tableId: ((table: string) => string) | undefined
  private readonly session: TargetSession
  private readonly name: string
  private settled: Promise<void> | undefined
  /** By tables that this session has altered: what they are since. */
  private readonly altered = new Map<string, string>()

  constructor(access: Access) {
    this.session = new TargetSession(access)
    this.verifier = new MysqlVerifier(this.session)
    this.rowValidator = new MysqlRowValidator(this.session)
    this.name = access.name
  }

  set onWait(tell: (wait: string) => void) {
    this.session.onWait = tell
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.tableId = await tableIds(this.session, signal)
  }

  async describe(table: string, signal: AbortSignal): Promise<TableSchema | undefined> {
    await this.enter(signal)
    const found = await targetTable(this.session, table)
    if (!found) return undefined
    const where = `${this.name}.${table}`
    return {
      columns: found.columns.map(column => logicalColumn(where, column)),
      key: await primaryKey(await this.session.open(), table),
    }
  }

  async standing(table: string, signal: AbortSignal): Promise<TableStanding> {
    await this.enter(signal)
    return standingOf(this.session, table, signal)
  }

  async syncPoints(job: string, signal: AbortSignal): Promise<SyncPoint[]> {
    await this.enter(signal)
    if (!(await targetTable(this.session, 'nightfreight_sync_points'))) return []
    return this.session.rows<SyncPoint>(
      `SELECT extract, value, run FROM nightfreight_sync_points WHERE job = ${literal(job)} ORDER BY extract`,
      signal,
    )
  }

  async committed(loadId: string, signal: AbortSignal): Promise<CommitResult | undefined> {
    await this.enter(signal, loadId)
    if (!(await targetTable(this.session, 'nightfreight_loads'))) return undefined
    const [row] = await this.session.rows(
      `SELECT counts FROM nightfreight_loads WHERE load_id = ${literal(loadId)}`,
      signal,
    )
    return row && { counts: JSON.parse(row.counts!) as LoadCounts[], repeated: true }
  }

  async stage(request: StageRequest, signal: AbortSignal): Promise<void> {
    this.session.heed(signal)
    const { loadId, job, paths, rows, keyPaths, keys } = request
    const load = await keyedByTable(request.load, table => this.describe(table, signal))
    const width = load.columns.length + ownColumns(load).length
    if (width > MAX_COLUMNS)
      throw new EngineError(
        'TARGET_INCOMPATIBLE',
        `${this.name}.${load.table}: has ${counted(width, 'column')}, and a table of the server at most ${MAX_COLUMNS}`,
        {
          hint: `Nothing was loaded. Split ${load.from} into models that share the key, and load each into a table.`,
        },
      )
    await ensureState(this.session)
    const table = await this.checked(load)
    const own = stagingNames(this.session, loadId, load)
    await dropAbandoned(this.session, job, loadId)
    await this.drop(Object.values(own))
    const comment = ownComment(this.session, job, loadId)
    const types = columnTypes(load, table)
    const create = async (name: string, columns: string[], more: string[] = []) => {
      const defined = [...columns.map(column => `${identifier(column)} ${types.get(column)}`), ...more]
      const where = `${this.name}.${load.table}`
      await createOwnTable(await this.session.open(signal), where, { name, defined, comment }, signal)
    }
    const index = (name: string) =>
      this.change(`ALTER TABLE ${name} ADD INDEX (${indexedKey(load, types)})`, load, signal)
    await create(
      own.staging,
      load.columns.map(column => column.name),
      load.mode === 'scd2' ? placeColumns(load) : table?.refers ? [MOVES_COLUMN] : [],
    )
    await this.send({ ...request, load }, own.staging, paths, rows, table, signal)
    if (['unstaged', 'inPartitions'].includes(goneRows(load)) && load.key.length > 0) await index(own.staging)
    if (keys === 0) return
    const named = load.mode === 'partition' && !load.whole ? load.partitionBy : load.key
    const keyed = { ...load, columns: load.columns.filter(({ name }) => named.includes(name)) }
    await create(own.keys, named)
    await this.send({ ...request, load: keyed, progress() {} }, own.keys, keyPaths, keys, table, signal)
    if (load.whole) await index(own.keys)
  }

  async commit(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    this.session.heed(signal)
    const { loadId, loads } = commit
    await ensureState(this.session)
    const earlier = await this.committed(loadId, signal)
    if (earlier) {
      await this.abandon(loadId).catch(() => {})
      return earlier
    }
    const tables = loads.map(({ table }) => table)
    return withTableLocks(this.session, tables, signal, async () => {
      // Whoever was at them before may have been cut off once it had committed.
      await settleMade(this.session, { loadId, locked: tables }, signal)
      // Whoever else loads one of the tables waits until this has ended.
      const repeated = (await this.committed(loadId, signal)) !== undefined
      if (!repeated) refuseMoved(await this.syncPoints(commit.job, signal), commit, this.name)
      return this.commitLocked(commit, signal, check)
    })
  }

  private async commitLocked(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    const { loadId, loads } = commit
    const session = await this.session.open(signal)
    let result: LoadCounts[] | undefined
    try {
      for (const load of loads) {
        const identity = await tableIdentity(this.session, load.table)
        // An earlier attempt has altered it, and failed after that.
        if (identity === undefined || identity !== this.altered.get(load.table))
          checkIdentity(load, identity, `${this.name}.${load.table}`)
      }
      for (const load of loads)
        for (const statement of (await this.tableChanges(load)).statements) {
          await this.change(statement, load, signal).catch(async error => {
            if (!hasCode(error, ...BOUND)) throw changeError(error, statement)
            throw bound(this.name, statement, load.table, await foreignKeysOf(this.session, [load]))
          })
          this.altered.set(load.table, (await tableIdentity(this.session, load.table))!)
        }
      const made: PlannedLoad[] = []
      for (const load of loads) if (!(await this.checked(load))) made.push(load)
      const names = made.map(({ table }) => table)
      if (made.length > 0)
        for (const [table, beside] of await noteMade(this.session, commit.job, loadId, names))
          this.session.making.set(table, beside)
      for (const load of made) await this.create(load, loads, signal)
      for (const load of made)
        for (const statement of referenceStatements(load, this.session))
          await this.change(statement, load, signal)
      await ask(session, 'START TRANSACTION', signal)
      result = await this.merge(session, commit, signal)
      result = result?.map(counts => (names.includes(counts.table) ? { ...counts, created: true } : counts))
      if (result) await check?.(result)
      if (result && made.length > 0) {
        await refuseMade(this.session, this.name, names)
        await change(session, this.name, fillMade(this.session, loadId), signal)
      }
      await ask(session, result ? 'COMMIT' : 'ROLLBACK', signal)
    } catch (error) {
      // Over the same connection: where that is lost, nobody knows yet what has become of the transaction.
      const undone = await ask(session, 'ROLLBACK').then(
        () => true,
        () => false,
      )
      const clash = undone ? await clashOf(this.session, commit, error).catch(() => undefined) : undefined
      if (undone) await settleMade(this.session, { loadId }).catch(() => {})
      throw clash ?? error
    } finally {
      this.session.making.clear()
    }
    await settleMade(this.session, { loadId }, signal)
    // Whoever commits abandons, too, and is told where that fails.
    await this.abandon(loadId).catch(() => {})
    // What is committed is; the next commit forgets what this one could not.
    await forgetLoads(this.session, commit).catch(() => {})
    return result ? { counts: result, repeated: false } : (await this.committed(loadId, signal))!
  }

  async abandon(loadId: string): Promise<void> {
    // What it leaves, a later load of the job clears away.
    this.session.heed(AbortSignal.timeout(CLEAN_UP_MS))
    await dropOwn(this.session, loadId)
  }

  /** From here on `signal` ends what waits; what a load has begun to publish is ended first, once a session and for `loadId`. */
  private async enter(signal: AbortSignal, loadId?: string): Promise<void> {
    this.session.heed(signal)
    const first = !this.settled
    this.settled ??= settleMade(this.session, { loadId }, signal)
    try {
      await this.settled
    } catch (error) {
      this.settled = undefined
      throw error
    }
    if (!first && loadId !== undefined) await settleMade(this.session, { loadId }, signal)
  }

  async close(): Promise<void> {
    await this.session.close()
  }

  /** Everything between START TRANSACTION and COMMIT; undefined where the load id is there already. */
  private async merge(
    session: Session,
    commit: LoadCommit,
    signal: AbortSignal,
  ): Promise<LoadCounts[] | undefined> {
    const { loadId, job, run, syncPoints } = commit
    const run_ = (sql: string, where = this.name) => change(session, where, sql, signal)
    try {
      // Another attempt under the same id waits here until this one has ended.
      await run_(
        `INSERT INTO nightfreight_loads VALUES (${[loadId, job, run].map(literal).join(', ')}, UTC_TIMESTAMP(6), '[]')`,
      )
    } catch (error) {
      if (isDuplicate(error)) return undefined
      throw error
    }
    const [time] = await ask(session, 'SELECT CAST(UTC_TIMESTAMP(6) AS CHAR) AS now', signal)
    const existing = new Set((await stagingTables(this.session)).map(({ table }) => table))
    const tables = new Map<StagedLoad, LoadTables>()
    for (const planned of commit.loads) {
      const load = await keyedByTable(planned, table => this.describe(table, signal))
      // Whoever alters it waits from here on until the transaction has ended.
      await ask(session, `SELECT 1 AS one FROM ${this.session.quoted(load.table)} LIMIT 1`, signal)
      const { staging, keys } = stagingNames(this.session, loadId, load)
      const where = `${this.name}.${load.table}`
      const table = stillThere(load, await this.checked(load), where)
      if (load.key.length > planned.key.length) {
        const compared = foldedKey(load, table)
        const own = { staging, where, compared, shown: keyText(load, '_nf_s') }
        await refuseTwice(load, own, sql => ask(session, sql, signal))
      }
      tables.set(load, {
        target: this.session.quoted(load.table),
        columns: load.columns,
        staging,
        keys: existing.has(keys) ? keys : undefined,
        table,
        now: literal(time!.now!),
      })
    }
    const counts = await applyLoads(this.session, session, commit, tables, signal)
    await run_(
      `UPDATE nightfreight_loads SET counts = ${literal(JSON.stringify(counts))} WHERE load_id = ${literal(loadId)}`,
    )
    for (const point of syncPoints) {
      const value = point.value === null ? 'NULL' : literal(point.value)
      await run_(
        `REPLACE INTO nightfreight_sync_points VALUES (${literal(job)}, ${literal(point.extract)}, ${value}, ${literal(point.run)})`,
      )
    }
    return counts
  }

  private async send(
    request: StageRequest,
    name: string,
    paths: string[],
    rows: number,
    table: TargetTable | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { load, lanes, offload, progress } = request
    const where = `${this.name}.${load.table}`
    const { columns } = load
    const rules = columns.map(column => valueRule(column, load, table))
    const parts = { table: name, where, paths, columns, rules, lanes, offload, progress }
    const sent = await sendParts(this.session, parts, signal)
    if (sent !== rows)
      throw new EngineError('STAGING_CORRUPT', `${where}: ${counted(sent, 'row')} staged instead of ${rows}`)
  }

  private async create(load: PlannedLoad, loads: PlannedLoad[], signal: AbortSignal): Promise<void> {
    const table = this.session.quoted(load.table)
    const collation = await exactCollation(this.session)
    const types = [...linkedColumns(load, loads, collation), ...ownColumns(load)]
    const columns = types.map(([name, type]) => `${identifier(name)} ${type}`)
    const key = uniqueColumns(load).map(identifier)
    if (key.length > 0) columns.push(`PRIMARY KEY (${key.join(', ')})`)
    columns.push(...indexDefinitions(load, types))
    await this.make(
      `CREATE TABLE ${table} (${columns.join(', ')}) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4`,
      load,
      signal,
    )
  }

  async tableChanges(load: PlannedLoad): Promise<TableChanges> {
    const table = await targetTable(this.session, load.table)
    return table ? this.changesOf(load, table) : { statements: [] }
  }

  private async changesOf(load: PlannedLoad, table: TargetTable): Promise<TableChanges> {
    const [shown] =
      table.engine === null
        ? []
        : await this.session.rows(`SHOW CREATE TABLE ${this.session.quoted(load.table)}`)
    const written = shown?.['Create Table'] ?? ''
    return changesOf(load, `${this.name}.${load.table}`, one => fittingOf(one, table, written))
  }

  private async checked(load: PlannedLoad): Promise<TargetTable | undefined> {
    const table = await targetTable(this.session, load.table)
    if (table) checkChanges(await this.changesOf(load, table))
    return table
  }

  private async make(sql: string, load: PlannedLoad, signal: AbortSignal): Promise<void> {
    await createTable(await this.session.open(signal), `${this.name}.${load.table}`, sql, signal)
  }

  private async change(sql: string, load: PlannedLoad, signal: AbortSignal): Promise<void> {
    await change(await this.session.open(signal), `${this.name}.${load.table}`, sql, signal)
  }

  private async drop(tables: string[]): Promise<void> {
    await this.session.rows(`DROP TABLE IF EXISTS ${tables.join(', ')}`)
  }
}

/** A column of a foreign key, by either table. */
const BOUND = [1832, 1833]
