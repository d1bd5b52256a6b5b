import { closest, distance } from 'fastest-levenshtein'
import type pg from 'pg'
import type {
  ExtractSpec,
  ListedTable,
  Read,
  Snapshot,
  Source,
  TableSchema,
} from '../../../engine/contracts/source.ts'
import { EngineError, unless } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { nameParts } from '../sql/names.ts'
import { checkCondition, narrowed, relation } from '../wire/selection.ts'
import { PostgresChangeLog } from './changeLog.ts'
import {
  type Access,
  ask,
  connect,
  disconnect,
  hangUp,
  interruptOn,
  quoteIdent,
  quoteTable,
} from './connect.ts'
import { describeQuery, describeTable } from './describe.ts'
import { hold, refuseNewer } from './hold.ts'
import type { LanePayload } from './lane.ts'
import { halves, rangesOf } from './ranges.ts'
import { BEGIN_HOLD, beginRead, LOCAL, type PostgresExtract, rowSecurity } from './settings.ts'
import { structureOf } from './structure.ts'

/** Postgres: parallel lanes in one exported snapshot. */
export class PostgresSource implements Source {
  readonly changeLog: PostgresChangeLog
  private readonly access: Access

  constructor(access: Access) {
    this.access = access
    this.changeLog = new PostgresChangeLog(access, (...asked) => this.openView(...asked))
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.brief(signal, client => ask(client, this.access.name, 'SELECT 1', [], signal))
  }

  async describe(extract: ExtractSpec, signal?: AbortSignal): Promise<TableSchema> {
    const options = extract.options as PostgresExtract
    const { name } = this.access
    return this.brief(signal, async client => {
      const schema = await this.schemaOf(client, extract)
      const read = narrowed(`${name}.${options.table ?? extract.name}`, schema, options)
      const notes = await this.hidden(client, extract.name, options)
      await checkCondition(name, extract.name, options, condition =>
        ask(client, name, `SELECT FROM ${relation(options, quoteTable)} WHERE ${condition} LIMIT 0`),
      )
      return { ...read, notes: [...(read.notes ?? []), ...notes] }
    })
  }

  /** What the server says of an extract's table or query. */
  private async schemaOf(client: pg.Client, extract: ExtractSpec): Promise<TableSchema> {
    const { name } = this.access
    const { table } = extract.options as PostgresExtract
    if (table === undefined) return describeQuery(client, name, extract)
    const parts = nameParts(table)
    if (parts.length > 2)
      throw new EngineError(
        'CONFIG_INVALID',
        `${name}: ${table} is a name of ${parts.length} parts: a table has a schema and a name`,
        {
          hint: `Quote the part that has a dot itself: table: '${quoteIdent(parts[0]!)}.${quoteIdent(parts.slice(1).join('.'))}'.`,
        },
      )
    const schema = await describeTable(client, name, table)
    if (schema && schema.columns.length === 0)
      throw new EngineError('COLUMN_MISSING', `${name}.${table}: the table has no column`, {
        hint: 'There is nothing to read: leave it out (of a glob, exclude:).',
      })
    if (schema) return { ...schema, structure: await structureOf(client, name, table) }
    const others = await ask(
      client,
      name,
      `SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END AS name
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`,
    )
    const names = others.map(other => other.name!)
    const near = names.length > 0 ? closest(table, names) : undefined
    const hint =
      near && distance(near, table) <= 3
        ? `Did you mean ${near}?`
        : `Tables there: ${names.slice(0, 20).join(', ') || 'none that this user can see'}.`
    throw new EngineError('TABLE_MISSING', `${name}.${table}: there is no such table`, { hint })
  }

  async tables(signal: AbortSignal): Promise<ListedTable[]> {
    const rows = await this.brief(signal, client =>
      ask<{
        schema: string
        name: string
        visible: string
        key: string
        rows: string
        indexed: string
        kind: string
      }>(
        client,
        this.access.name,
        `SELECT n.nspname AS schema, c.relname AS name, pg_table_is_visible(c.oid)::text AS visible,
           coalesce((SELECT json_agg(a.attname ORDER BY k.position) FROM pg_index i
             CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary), '[]')::text AS key,
           coalesce((SELECT json_agg(DISTINCT a.attname) FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = c.oid AND i.indpred IS NULL), '[]')::text AS indexed,
           greatest(c.reltuples, -1)::bigint::text AS rows, c.relkind AS kind
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'nightfreight') AND n.nspname NOT LIKE 'pg\\_%'
         ORDER BY n.nspname, c.relname`,
        [],
        signal,
      ),
    )
    const part = (name: string) => (/[."]/.test(name) ? quoteIdent(name) : name)
    return rows.map(({ schema, name, visible, key, rows: estimate, indexed, kind }) => ({
      name: visible === 'true' ? part(name) : `${part(schema)}.${part(name)}`,
      bare: name,
      schema,
      key: JSON.parse(key) as string[],
      ...(Number(estimate) >= 0 && { rows: Number(estimate) }),
      indexed: JSON.parse(indexed) as string[],
      ...(/[vmf]/.test(kind) && { isView: true as const }),
    }))
  }

  open(lanes: number, signal: AbortSignal, reads: Read[]): Promise<Snapshot> {
    return this.openView(lanes, signal, reads)
  }

  /** A view for lanes, that of now or of an exported snapshot. */
  private async openView(
    lanes: number,
    signal: AbortSignal,
    reads: Read[],
    snapshot?: string,
  ): Promise<Snapshot> {
    const { access } = this
    const client = await connect(access, access.name, signal)
    const release = interruptOn(signal, client)
    const opened = async () => {
      const begin = snapshot === undefined ? BEGIN_HOLD : beginRead(snapshot)
      await ask(client, access.name, `${begin}; ${LOCAL}`)
      const held = await hold(client, access.name, reads)
      if (snapshot !== undefined) await refuseNewer(client, access.name)
      const [exported] = await ask(client, access.name, 'SELECT pg_export_snapshot() AS id')
      return { ...held, id: exported!.id! }
    }
    const { locks, refused, id } = await opened().catch(error => {
      release()
      hangUp(client)
      throw signal.aborted ? new EngineError('INTERRUPTED', `${access.name}: interrupted`) : error
    })
    const payload: LanePayload = { access, snapshot: id, locks }
    return {
      lanes,
      lane: { module: moduleBeside(import.meta.url, 'lane'), payload },
      // The snapshot can be joined as long as the transaction that exported it lives.
      rejoinable: true,
      joined: async () => {},
      async ranges(read) {
        const refusal = refused.get(read.options)
        if (refusal) throw refusal
        return rangesOf(client, access.name, read)
      },
      split: async (_read, range) => halves(range),
      // Our transaction also keeps the tables from being rewritten, which would move rows to other blocks.
      check: async () => void (await ask(client, access.name, 'SELECT 1')),
      async close() {
        release()
        await disconnect(client)
      },
    }
  }

  async close(): Promise<void> {}

  /** Says where row-level security hides rows from us, as the extract allows; fails where it does not. */
  private async hidden(client: pg.Client, extract: string, options: PostgresExtract): Promise<string[]> {
    const { name } = this.access
    const { row_security } = options
    const look = async (policy: PostgresExtract['row_security']) => {
      await ask(client, name, `SAVEPOINT look; ${rowSecurity({ row_security: policy })}`)
      const answer = await unless('PERMISSION_DENIED', () =>
        ask(client, name, `SELECT FROM ${relation(options, quoteTable)} LIMIT 0`),
      )
      await ask(client, name, 'ROLLBACK TO look')
      return answer !== undefined
    }
    // Where it may not be read at all, the read says so.
    if ((await look('refuse')) || !(await look('filter'))) return []
    const [{ role } = { role: '' }] = await ask(client, name, 'SELECT current_user AS role')
    const found = `row-level security applies to role ${role}`
    if (row_security === 'filter') return [`${found}: only rows that its policies show are read`]
    throw new EngineError(
      'PERMISSION_DENIED',
      `${name}.${options.table ?? extract}: ${found}, and may hide rows`,
      {
        hint: `Read as a role with BYPASSRLS (ALTER ROLE … BYPASSRLS), or set row_security: filter in extract.${extract}, to read and load only what the policies show.`,
      },
    )
  }

  private async brief<T>(
    signal: AbortSignal | undefined,
    use: (client: pg.Client) => Promise<T>,
  ): Promise<T> {
    const { name } = this.access
    const client = await connect(this.access, name, signal)
    const release = interruptOn(signal, client)
    try {
      await ask(client, name, `${beginRead()}; ${LOCAL}`, [], signal)
      return await use(client)
    } finally {
      release()
      await disconnect(client)
    }
  }
}
