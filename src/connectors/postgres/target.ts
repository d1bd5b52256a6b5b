import { createHash } from 'node:crypto'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import type {
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StageRequest,
  SyncPoint,
  TableSchema,
  Target,
} from '../../../engine/ports.ts'
import { insertSql, updateSql } from '../merge.ts'
import { type Access, quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { checkTarget, expressions, stagingType } from './merge.ts'
import { PostgresProver } from './prover.ts'
import { TargetSession } from './session.ts'
import { describeTable } from './source.ts'
import type { StageInput } from './stage.ts'
import { ensureState, stagingTables, targetColumns } from './state.ts'

/** Postgres as warehouse: COPY into unlogged staging tables, then one transaction. */
export class PostgresTarget implements Target {
  readonly prover: PostgresProver
  private readonly session: TargetSession
  private readonly name: string

  constructor(access: Access) {
    this.session = new TargetSession(access)
    this.prover = new PostgresProver(this.session)
    this.name = access.name
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.session.query('SELECT 1', [], signal)
  }

  async describe(table: string): Promise<TableSchema | undefined> {
    return describeTable(await this.session.client(), `${this.name}.${table}`, table)
  }

  async syncPoints(job: string, signal: AbortSignal): Promise<SyncPoint[]> {
    if (!(await this.has('nightfreight.sync_points'))) return []
    const { rows } = await this.session.query(
      'SELECT extract, value, run FROM nightfreight.sync_points WHERE job = $1 ORDER BY extract',
      [job],
      signal,
    )
    return rows.map(({ extract, value, run }) => ({ extract: extract!, value: value!, run: run! }))
  }

  async committed(loadId: string): Promise<CommitResult | undefined> {
    if (!(await this.has('nightfreight.loads'))) return undefined
    const { rows } = await this.session.query('SELECT counts FROM nightfreight.loads WHERE load_id = $1', [
      loadId,
    ])
    return rows[0] && { counts: JSON.parse(rows[0].counts!) as LoadCounts[], repeated: true }
  }

  async stage(request: StageRequest, signal: AbortSignal): Promise<void> {
    const { loadId, job, load, paths, rows, offload, lanes, progress } = request
    await ensureState(this.session)
    await this.check(load)
    const table = stagingTable(loadId, load)
    const stale = (await stagingTables(this.session)).filter(
      found => found.table === table || (found.job === job && found.loadId !== loadId),
    )
    await this.drop(stale.map(found => found.table))
    const columns = load.columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    const comment = quoteLiteral(JSON.stringify({ job, loadId }))
    await this.session.query(
      `CREATE UNLOGGED TABLE ${table} (${columns.join(', ')}); COMMENT ON TABLE ${table} IS ${comment}`,
      [],
      signal,
    )
    // The first part that fails stops the others: their threads end, and with them their connections.
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const where = `${this.name}.${load.table}`
    const module = moduleBeside(import.meta.url, 'stage')
    const waiting = [...paths]
    let sent = 0
    const lane = async () => {
      for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
        const input: StageInput = { access: this.session.access, table, where, path, columns: load.columns }
        try {
          const count = await offload<number>(module, 'stagePart', input, either)
          sent += count
          progress(count)
        } catch (error) {
          failed.abort()
          throw error
        }
      }
    }
    const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, paths.length) }, lane))
    if (signal.aborted) throw new EngineError('INTERRUPTED', `${where}: interrupted`)
    const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason as Error] : []))
    if (reasons.length > 0) throw reasons.find(reason => reason instanceof EngineError) ?? reasons[0]
    if (sent !== rows)
      throw new EngineError('STAGING_CORRUPT', `${where}: ${sent} rows staged instead of ${rows}`)
  }

  async commit(commit: LoadCommit, signal: AbortSignal): Promise<CommitResult> {
    await ensureState(this.session)
    for (const load of commit.loads) {
      await this.check(load)
      await this.session
        .query(`ANALYZE ${stagingTable(commit.loadId, load)}`, [], signal)
        .catch(async error => {
          // A repeat finds its staging tables gone: committed() below knows why.
          if (!(await this.committed(commit.loadId))) throw error
        })
    }
    await this.session.query('BEGIN', [], signal)
    let counts: LoadCounts[] | undefined
    try {
      counts = await this.merge(commit, signal)
    } catch (error) {
      await this.session.query('ROLLBACK').catch(() => {})
      throw error
    }
    if (!counts) {
      await this.session.query('ROLLBACK')
      return (await this.committed(commit.loadId))!
    }
    await this.session.query('COMMIT', [], signal)
    return { counts, repeated: false }
  }

  async abandon(loadId: string): Promise<void> {
    const own = (await stagingTables(this.session)).filter(found => found.loadId === loadId)
    await this.drop(own.map(found => found.table))
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
    const counts: LoadCounts[] = []
    for (const load of loads) {
      if (!(await this.has(quoteTable(load.table)))) await this.create(load, signal)
      const columns = await targetColumns(this.session, load.table)
      checkTarget(load, columns, `${this.name}.${load.table}`)
      const staging = stagingTable(loadId, load)
      const tables = {
        target: quoteTable(load.table),
        staging,
        quote: quoteIdent,
        ...expressions(load, columns),
      }
      const update = updateSql(load, tables)
      const updated = update ? (await query(update)).count : 0
      const inserted = (await query(insertSql(load, tables))).count
      const staged = Number((await query(`SELECT count(*) AS n FROM ${staging}`)).rows[0]!.n)
      counts.push({
        table: load.table,
        inserted,
        updated,
        deleted: 0,
        unchanged: staged - inserted - updated,
      })
      await query(`DROP TABLE ${staging}`)
    }
    await query('UPDATE nightfreight.loads SET counts = $2 WHERE load_id = $1', [
      loadId,
      JSON.stringify(counts),
    ])
    for (const point of syncPoints)
      await query(
        `INSERT INTO nightfreight.sync_points VALUES ($1, $2, $3, $4)
         ON CONFLICT (job, extract) DO UPDATE SET value = excluded.value, run = excluded.run`,
        [job, point.extract, point.value, point.run],
      )
    return counts
  }

  private async create(load: PlannedLoad, signal: AbortSignal): Promise<void> {
    const [schema, table] = load.table.split('.')
    const columns = load.columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
    if (load.stamp) columns.push(`${quoteIdent(load.stamp)} timestamptz`)
    if (load.key.length > 0) columns.push(`PRIMARY KEY (${load.key.map(quoteIdent).join(', ')})`)
    if (table) {
      const { rows } = await this.session.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
      if (rows.length === 0) await this.session.query(`CREATE SCHEMA ${quoteIdent(schema!)}`, [], signal)
    }
    await this.session.query(`CREATE TABLE ${quoteTable(load.table)} (${columns.join(', ')})`, [], signal)
  }

  private async check(load: PlannedLoad): Promise<void> {
    if (!(await this.has(quoteTable(load.table)))) return
    checkTarget(load, await targetColumns(this.session, load.table), `${this.name}.${load.table}`)
  }

  private async has(relation: string): Promise<boolean> {
    return (await this.session.query('SELECT to_regclass($1) AS oid', [relation])).rows[0]!.oid !== null
  }

  private async drop(tables: string[]): Promise<void> {
    if (tables.length > 0) await this.session.query(`DROP TABLE IF EXISTS ${tables.join(', ')}`)
  }
}

function stagingTable(loadId: string, load: PlannedLoad): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([loadId, load.table]))
    .digest('hex')
  return `nightfreight."stg_${hash.slice(0, 20)}"`
}
