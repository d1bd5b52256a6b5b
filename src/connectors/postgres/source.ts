import { closest, distance } from 'fastest-levenshtein'
import type pg from 'pg'
import type {
  ExtractSpec,
  ListedTable,
  Snapshot,
  Source,
  TableSchema,
} from '../../../engine/contracts/source.ts'
import { EngineError, unless } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { checkCondition, narrowed } from '../wire/selection.ts'
import { catalogTypes, duckType } from './catalogTypes.ts'
import { PostgresChangeLog } from './changeLog.ts'
import { type Access, ask, connect, disconnect, interruptOn, quoteIdent, quoteTable } from './connect.ts'
import type { LanePayload } from './lane.ts'
import { halves, rangesOf } from './ranges.ts'
import { beginRead, LOCAL, type PostgresExtract, rowSecurity } from './settings.ts'
import { structureOf } from './structure.ts'
import { columnOf, FAMILY } from './types.ts'

/** Postgres: parallel lanes in one exported snapshot. */
export class PostgresSource implements Source {
  readonly changeLog: PostgresChangeLog
  private readonly access: Access

  constructor(access: Access) {
    this.access = access
    this.changeLog = new PostgresChangeLog(access, (lanes, signal, snapshot) =>
      this.openView(lanes, signal, snapshot),
    )
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.brief(signal, client => ask(client, this.access.name, 'SELECT 1', [], signal))
  }

  async describe(extract: ExtractSpec, signal?: AbortSignal): Promise<TableSchema> {
    const options = extract.options as PostgresExtract
    const { table } = options
    return this.brief(signal, async client => {
      const schema = await describeTable(client, this.access.name, table)
      if (schema) {
        const structure = await structureOf(client, this.access.name, table)
        const read = narrowed(`${this.access.name}.${table}`, { ...schema, structure }, options)
        const notes = await this.hidden(client, options)
        await checkCondition(this.access.name, extract.name, options, condition =>
          ask(client, this.access.name, `SELECT FROM ${quoteTable(table)} WHERE ${condition} LIMIT 0`),
        )
        return { ...read, notes }
      }
      const others = await ask(
        client,
        this.access.name,
        `SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END AS name
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`,
        [],
        signal,
      )
      const names = others.map(other => other.name!)
      const near = names.length > 0 ? closest(table, names) : undefined
      const hint =
        near && distance(near, table) <= 3
          ? `Did you mean ${near}?`
          : `Tables there: ${names.slice(0, 20).join(', ') || 'none that this user can see'}.`
      throw new EngineError('TABLE_MISSING', `${this.access.name}.${table}: there is no such table`, { hint })
    })
  }

  async tables(signal: AbortSignal): Promise<ListedTable[]> {
    const rows = await this.brief(signal, client =>
      ask<{ schema: string; name: string; visible: string; key: string; rows: string; indexed: string }>(
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
           greatest(c.reltuples, -1)::bigint::text AS rows
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'nightfreight') AND n.nspname NOT LIKE 'pg\\_%'
         ORDER BY n.nspname, c.relname`,
        [],
        signal,
      ),
    )
    const part = (name: string) => (/[."]/.test(name) ? quoteIdent(name) : name)
    return rows.map(({ schema, name, visible, key, rows: estimate, indexed }) => ({
      name: visible === 'true' ? part(name) : `${part(schema)}.${part(name)}`,
      bare: name,
      schema,
      key: JSON.parse(key) as string[],
      ...(Number(estimate) >= 0 && { rows: Number(estimate) }),
      indexed: JSON.parse(indexed) as string[],
    }))
  }

  open(lanes: number, signal?: AbortSignal): Promise<Snapshot> {
    return this.openView(lanes, signal)
  }

  /** A view for lanes, that of now or of an exported snapshot. */
  private async openView(
    lanes: number,
    signal: AbortSignal | undefined,
    snapshot?: string,
  ): Promise<Snapshot> {
    const { access } = this
    const client = await connect(access, access.name, signal)
    const release = interruptOn(signal, client)
    await ask(client, access.name, `${beginRead(snapshot)}; ${LOCAL}`, [], signal)
    const [exported] = await ask(client, access.name, 'SELECT pg_export_snapshot() AS id')
    const payload: LanePayload = { access, snapshot: exported!.id! }
    return {
      lanes,
      lane: { module: moduleBeside(import.meta.url, 'lane'), payload },
      // The snapshot can be joined as long as the transaction that exported it lives.
      rejoinable: true,
      joined: async () => {},
      ranges: read => rangesOf(client, access.name, read),
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
  private async hidden(client: pg.Client, options: PostgresExtract): Promise<string[]> {
    const { name } = this.access
    const { table, row_security } = options
    const look = async (policy: PostgresExtract['row_security']) => {
      await ask(client, name, `SAVEPOINT look; ${rowSecurity({ table, row_security: policy })}`)
      const answer = await unless('PERMISSION_DENIED', () =>
        ask(client, name, `SELECT FROM ${quoteTable(table)} LIMIT 0`),
      )
      await ask(client, name, 'ROLLBACK TO look')
      return answer !== undefined
    }
    // Where it may not be read at all, the read says so.
    if ((await look('refuse')) || !(await look('filter'))) return []
    const [{ role } = { role: '' }] = await ask(client, name, 'SELECT current_user AS role')
    const found = `row-level security applies to role ${role}`
    if (row_security === 'filter') return [`${found}: only rows that its policies show are read`]
    throw new EngineError('PERMISSION_DENIED', `${name}.${table}: ${found}, and may hide rows`, {
      hint: `Read as a role with BYPASSRLS (ALTER ROLE … BYPASSRLS), or set row_security: filter for extract of ${table}, to read and load only what the policies show.`,
    })
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

/** A literal, and the type that it is cast to. */
const CONSTANT = /^('([^']|'')*'|-?\d+(\.\d+)?|true|false)(::[\w" .,()[\]]+)?$/

/** Columns, key and statistics; undefined where there is no such table. */
export async function describeTable(
  client: pg.Client,
  where: string,
  table: string,
): Promise<TableSchema | undefined> {
  const [found] = await ask(
    client,
    where,
    `SELECT c.oid, greatest(c.reltuples, 0)::bigint AS rows, pg_total_relation_size(c.oid) AS bytes
     FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    [quoteTable(table)],
  )
  if (!found) return undefined
  const columns = await ask(
    client,
    where,
    `SELECT a.attname AS name, a.attnotnull AS required, b.typmod, a.atttypid AS declared, a.atttypmod AS modifier, a.attndims AS dimensions, format_type(b.oid, b.typmod) AS own,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS fallback,
       CASE WHEN a.attcollation <> b.typcollation THEN a.attcollation::regcollation::text END AS collation,
       CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname END AS type,
       (SELECT p.proname FROM pg_proc p WHERE p.oid = b.typsend AND p.pronamespace = 'pg_catalog'::regnamespace) AS send,
       EXISTS (SELECT FROM pg_cast k WHERE k.castsource = b.oid AND k.casttarget = 'text'::regtype AND k.castmethod <> 'i') AS cast,
       current_setting('server_encoding') AS encoding,
       format_type(b.oid, b.typmod) ||
         CASE WHEN b.oid = a.atttypid THEN '' ELSE ' (domain ' || format_type(a.atttypid, NULL) || ')' END AS native
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum CROSS JOIN LATERAL (
       WITH RECURSIVE base AS (
         SELECT t.oid, t.typname, t.typnamespace, t.typsend, a.atttypmod AS typmod, t.typtype, t.typbasetype, t.typtypmod, t.typcollation
           FROM pg_type t WHERE t.oid = a.atttypid
         UNION ALL
         SELECT t.oid, t.typname, t.typnamespace, t.typsend, base.typtypmod, t.typtype, t.typbasetype, t.typtypmod, t.typcollation
           FROM base JOIN pg_type t ON base.typtype = 'd' AND t.oid = base.typbasetype)
       SELECT oid, typname, typnamespace, typsend, typmod, typcollation FROM base WHERE typtype <> 'd') b
     WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [found.oid],
  )
  const types = await catalogTypes(client, where, found.oid!)
  const key = await ask(
    client,
    where,
    `SELECT a.attname AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.position`,
    [found.oid],
  )
  const schema: TableSchema = {
    columns: columns.map(
      ({
        name,
        native,
        own,
        fallback,
        collation,
        type,
        send,
        cast,
        encoding,
        typmod,
        required,
        ...declared
      }) =>
        columnOf({
          name: name!,
          native: native!,
          origin: {
            family: FAMILY,
            type: own!,
            ...(type === null && { custom: true as const }),
            ...(fallback && CONSTANT.test(fallback) && { default: fallback }),
            ...(collation && { collation }),
          },
          type,
          send,
          cast: cast === 't',
          duck: duckType(types, declared.declared!, Number(declared.modifier), Number(declared.dimensions)),
          typmod: Number(typmod),
          nullable: required !== 't',
          unchecked: encoding === 'SQL_ASCII',
        }),
    ),
    key: key.map(({ name }) => name!),
  }
  const rows = Number(found.rows)
  return rows > 0 ? { ...schema, rows, bytes: Number(found.bytes) } : schema
}
