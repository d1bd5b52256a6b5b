import type pg from 'pg'
import type { FollowedTable, Stored, StoredPart } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Diagnosis, Needs } from '../declare/define.ts'
import { ask, quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import type { PostgresExtract } from './settings.ts'

/** A table whose log tells what is needed of it. */
export interface Followable {
  extract: string
  oid: string
  /** Quoted, with its schema. */
  table: string
}

/** What the catalog says of a table that is to be followed. */
export interface TableFacts {
  oid: string
  table: string
  kind: string
  persistence: string
  identity: 'd' | 'n' | 'f' | 'i'
  /** JSON lists of names. */
  identified: string
  primary: string
  /** JSON: the same of each partition that holds rows, by which its changes are logged. */
  leaves: string
  generated: string
  virtual: string
  heirs: string
  version: string
}

/** SQL of the columns by which an UPDATE or DELETE of a table is logged, unless all or none are. */
const identifiedOf = (table: string) =>
  `coalesce((SELECT json_agg(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = ${table}.oid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = ${table}.oid AND CASE ${table}.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END), '[]')`

/** The catalog's word on a table; undefined where there is none of the name. */
export async function tableFacts(
  client: pg.Client,
  where: string,
  table: string,
): Promise<TableFacts | undefined> {
  const [facts] = await ask<TableFacts>(
    client,
    where,
    `SELECT c.oid::text AS oid, format('%I.%I', n.nspname, c.relname) AS table, c.relkind AS kind, c.relpersistence AS persistence,
       c.relreplident AS identity, current_setting('server_version_num') AS version,
       ${identifiedOf('c')}::text AS identified,
       coalesce((SELECT json_agg(json_build_object('table', l.oid::regclass, 'identity', l.relreplident, 'identified', ${identifiedOf('l')}))
         FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf AND p.level > 0), '[]')::text AS leaves,
       coalesce((SELECT json_agg(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = c.oid AND i.indisprimary), '[]')::text AS primary,
       coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped), '[]')::text AS generated,
       coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped), '[]')::text AS virtual,
       coalesce((SELECT json_agg(i.inhrelid::regclass::text) FROM pg_inherits i
         WHERE i.inhparent = c.oid AND c.relkind = 'r'), '[]')::text AS heirs
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(${quoteLiteral(quoteTable(table))})`,
  )
  return facts
}

interface Identity {
  table: string
  identity: TableFacts['identity']
  identified: string[]
}

/** Columns of a key that a table's log does not tell of a row that is changed or deleted. */
function untold({ identity, identified }: Identity, key: string[]): string[] {
  if (identity === 'f') return []
  return identity === 'n' ? key : key.filter(name => !identified.includes(name))
}

/** What keeps a table from being followed, and what mends it; undefined where nothing does. */
export function obstacleOf(
  facts: TableFacts,
  key: string[],
  options: PostgresExtract,
): { what: string; fix: string } | undefined {
  const { table, kind, persistence, identity, identified, primary, leaves, generated, virtual, heirs } = facts
  if (!['r', 'p'].includes(kind))
    return {
      what: 'is no table: the log has changes of tables only',
      fix: `Name the table itself, or leave out mode: changes.`,
    }
  if (persistence !== 'p') return { what: 'is not logged', fix: `ALTER TABLE ${table} SET LOGGED;` }
  const names = (list: string) => JSON.parse(list) as string[]
  const wanted = key.length > 0 ? key : names(primary)
  if (wanted.length === 0)
    return {
      what: 'has no primary key',
      fix: `ALTER TABLE ${table} ADD PRIMARY KEY (…); or key: in the extract, and ALTER TABLE ${table} REPLICA IDENTITY FULL;`,
    }
  const parts = JSON.parse(leaves) as Identity[]
  const untelling = [{ table, identity, identified: names(identified) }, ...parts].filter(
    one => untold(one, wanted).length > 0,
  )
  if (untelling.length > 0) {
    const [first] = untelling
    return {
      what: `has a replica identity without ${untold(first!, wanted).join(', ')}${first!.table === table ? '' : ` in partition ${first!.table}`}: its log does not say which row is deleted`,
      fix: untelling.map(one => `ALTER TABLE ${one.table} REPLICA IDENTITY FULL;`).join(' '),
    }
  }
  if (names(generated).length > 0 && Number(facts.version) < 180_000)
    return {
      what: `has generated columns (${names(generated).join(', ')}), which the log does not tell`,
      fix: `Leave out mode: changes for it, or take Postgres 18.`,
    }
  if (names(virtual).length > 0)
    return {
      what: `has virtual columns (${names(virtual).join(', ')}), which the log does not tell`,
      fix: `Make them STORED, or leave out mode: changes for it.`,
    }
  if (names(heirs).length > 0)
    return {
      what: `has tables that inherit from it (${names(heirs).join(', ')}), whose rows the log tells as theirs`,
      fix: 'Leave out mode: changes for it, or follow each table by itself.',
    }
  if (options.row_security === 'filter')
    return {
      what: 'is read under row_security: filter, which the log does not know',
      fix: 'Leave out row_security, or mode: changes.',
    }
  return undefined
}

/** The tables as the catalog has them. Fails where one cannot be followed. */
export async function followable(
  client: pg.Client,
  name: string,
  tables: FollowedTable[],
): Promise<Followable[]> {
  const found: Followable[] = []
  for (const { spec } of tables) {
    const options = spec.options as PostgresExtract
    const facts = await tableFacts(client, name, options.table!)
    // Describing it says so, with the nearest names.
    if (!facts) continue
    const obstacle = obstacleOf(facts, spec.key, options)
    if (obstacle)
      throw new EngineError('CONFIG_INVALID', `${name}.${spec.name}: ${facts.table} ${obstacle.what}`, {
        hint: obstacle.fix,
      })
    found.push({ extract: spec.name, oid: facts.oid, table: facts.table })
  }
  return found
}

interface StoredRow {
  what: string
  is: string
  rows: string
  empty: string
  last: string | null
  columns: string | null
}

function storedPart({ is, rows, empty, last, columns }: StoredRow): StoredPart {
  const isTrue = (text: string) => text.startsWith('t')
  return {
    is,
    ...(isTrue(rows) && { rows: true }),
    ...(isTrue(empty) && { empty: true }),
    ...(last !== null && columns !== null && { emptied: { last, columns } }),
  }
}

/**
 * How tables are stored. A file of rows is made anew by TRUNCATE, and by what the log does not tell: ALTER TABLE … USING, VACUUM FULL,
 * CLUSTER. Whoever does so writes the table's row of pg_class, where VACUUM, ANALYZE and CREATE INDEX leave its writer as it was; and who
 * gives rows other values, those of pg_attribute. A partition that was made as one had no rows then; one that was attached is of another transaction than its type. What changed
 * while one was detached was not the table's, and its log has none of it. A label that gets another name is another value in each row.
 */
export async function storedTables(
  client: pg.Client,
  name: string,
  publication: string,
  tables: FollowedTable[],
): Promise<Record<string, Stored>> {
  const found: Record<string, Stored> = {}
  for (const { spec } of tables) {
    const own = quoteLiteral(quoteTable((spec.options as PostgresExtract).table!))
    const rows = await ask<StoredRow>(
      client,
      name,
      `WITH own AS (SELECT to_regclass(${own})::oid AS oid)
       SELECT 'column ' || quote_ident(attname) AS what, attnum::text AS is, 'f' AS rows, 'f' AS empty, NULL AS last, NULL AS columns
         FROM pg_attribute JOIN own ON attrelid = own.oid WHERE attnum > 0 AND NOT attisdropped
       UNION ALL SELECT 'its file', c.oid || ':' || c.relfilenode, 'f', 'f', c.xmin::text,
           (SELECT string_agg(DISTINCT a.xmin::text, ' ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
         FROM pg_class c JOIN own USING (oid) WHERE c.relkind = 'r'
       UNION ALL SELECT 'partition ' || p.relid::text, c.oid || ':' || coalesce(pg_relation_filenode(c.oid), 0), 't', (t.xmin = i.xmin)::text, NULL, NULL
         FROM own, pg_partition_tree(own.oid) p JOIN pg_class c ON c.oid = p.relid JOIN pg_type t ON t.oid = c.reltype
           JOIN pg_inherits i ON i.inhrelid = p.relid WHERE p.level > 0
       UNION ALL SELECT 'attachment of partition ' || inhrelid::regclass, xmin::text, 'f', 'f', NULL, NULL
         FROM pg_inherits WHERE inhrelid IN (SELECT p.relid FROM own, pg_partition_tree(own.oid) p WHERE p.level > 0)
       UNION ALL SELECT DISTINCT 'label ' || e.oid || ' of type ' || e.enumtypid::regtype, e.enumlabel::text, 'f', 'f', NULL, NULL
         FROM own JOIN pg_attribute a ON a.attrelid = own.oid AND a.attnum > 0 JOIN pg_type t ON t.oid = a.atttypid
           JOIN pg_enum e ON e.enumtypid IN (t.oid, t.typelem, t.typbasetype)
       UNION ALL SELECT 'its publication', p.oid || ':' || p.xmin || ':' || r.oid, 'f', 'f', NULL, NULL
         FROM own, pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = ${quoteLiteral(publication)} AND r.prrelid = own.oid`,
    )
    found[spec.name] = Object.fromEntries(rows.map(row => [row.what, storedPart(row)]))
  }
  return found
}

/** Puts the tables into the publication, made where there is none; gives the extracts whose tables were not in it. */
export async function publish(
  client: pg.Client,
  name: string,
  publication: string,
  tables: Followable[],
): Promise<string[]> {
  const [there] = await ask<{ all: string; every: string; root: string }>(
    client,
    name,
    `SELECT puballtables::text AS all, (pubinsert AND pubupdate AND pubdelete AND pubtruncate)::text AS every, pubviaroot::text AS root
     FROM pg_publication WHERE pubname = ${quoteLiteral(publication)}`,
  )
  const members = await ask<{ oid: string; partial: string }>(
    client,
    name,
    `SELECT r.prrelid::text AS oid, ((to_jsonb(r)->>'prqual') IS NOT NULL OR (to_jsonb(r)->>'prattrs') IS NOT NULL)::text AS partial
     FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = ${quoteLiteral(publication)}`,
  )
  const missing = [
    ...new Map(
      tables.filter(({ oid }) => !members.some(member => member.oid === oid)).map(one => [one.oid, one]),
    ).values(),
  ]
  const statement = await publicationSql(client, name, publication, missing, there !== undefined)
  const partial = members.find(
    member => member.partial === 'true' && tables.some(({ oid }) => oid === member.oid),
  )
  if (there && (there.all === 'true' || there.every !== 'true' || there.root !== 'true' || partial))
    throw new EngineError(
      'CONFIG_INVALID',
      `${name}: publication ${publication} leaves out changes, rows or columns, or is for all tables`,
      {
        hint: `DROP PUBLICATION ${quoteIdent(publication)}; the next run makes another.`,
      },
    )
  if (missing.length > 0)
    try {
      await ask(client, name, statement)
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'PERMISSION_DENIED') throw error
      throw new EngineError('PERMISSION_DENIED', `${error.message}, which the log of changes needs`, {
        cause: error,
        hint: `Have the owner of the tables run: ${statement};`,
      })
    }
  return tables.filter(({ oid }) => missing.some(one => one.oid === oid)).map(({ extract }) => extract)
}

/** The statement that puts tables into a publication, or makes it of them. */
async function publicationSql(
  client: pg.Client,
  name: string,
  publication: string,
  tables: Pick<Followable, 'table'>[],
  exists: boolean,
): Promise<string> {
  const quoted = quoteIdent(publication)
  const list = tables.map(({ table }) => table).join(', ')
  if (exists) return `ALTER PUBLICATION ${quoted} ADD TABLE ${list}`
  const [found] = await ask<{ version: string }>(
    client,
    name,
    `SELECT current_setting('server_version_num') AS version`,
  )
  const generated = Number(found!.version) >= 180_000 ? ', publish_generated_columns = stored' : ''
  return `CREATE PUBLICATION ${quoted} FOR TABLE ${list} WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true${generated})`
}

/** Whether the publication has its tables, or we may put them there. */
async function diagnosePublication(
  client: pg.Client,
  name: string,
  publication: string,
  tables: { oid: string; table: string }[],
): Promise<Diagnosis> {
  const list = tables.map(({ oid }) => oid).join(', ')
  const [facts] = await ask<Record<'there' | 'may' | 'own', string> & { missing: string }>(
    client,
    name,
    `SELECT (p.oid IS NOT NULL)::text AS there, has_database_privilege(current_database(), 'CREATE')::text AS may,
       coalesce(pg_has_role(p.pubowner, 'USAGE'), true)::text AS own,
       coalesce((SELECT json_agg(c.oid::text) FROM pg_class c WHERE c.oid IN (${list}) AND NOT EXISTS (
         SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)), '[]')::text AS missing
     FROM (SELECT 1) AS one LEFT JOIN pg_publication p ON p.pubname = ${quoteLiteral(publication)}`,
  )
  const missing = tables.filter(({ oid }) => (JSON.parse(facts!.missing) as string[]).includes(oid))
  const [owned] = await ask<{ all: string | null }>(
    client,
    name,
    `SELECT bool_and(pg_has_role(relowner, 'USAGE'))::text AS all FROM pg_class WHERE oid IN (${list})`,
  )
  const exists = facts!.there === 'true'
  const may = owned!.all === 'true' && (exists ? facts!.own === 'true' : facts!.may === 'true')
  if (missing.length === 0) return { ok: true, what: `publication ${publication} has all tables` }
  if (may)
    return {
      ok: true,
      what: `the first run puts ${missing.map(({ table }) => table).join(', ')} into publication ${publication}`,
    }
  return {
    ok: false,
    what: `we may not put ${missing.map(({ table }) => table).join(', ')} into publication ${publication}: their owner may`,
    fix: `${await publicationSql(client, name, publication, missing, exists)};`,
  }
}

/** What a server lacks to have the changes of tables read from its log, and the statements that mend it. */
export async function diagnoseLog(
  client: pg.Client,
  name: string,
  user: string,
  follows: Needs['follows'],
): Promise<Diagnosis[]> {
  if (follows.length === 0) return []
  const [facts] = await ask<Record<'level' | 'may' | 'slots' | 'taken' | 'kept', string>>(
    client,
    name,
    `SELECT current_setting('wal_level') AS level, (r.rolreplication OR r.rolsuper)::text AS may,
       current_setting('max_replication_slots') AS slots, (SELECT count(*) FROM pg_replication_slots)::text AS taken,
       coalesce(current_setting('max_slot_wal_keep_size', true), '-1') AS kept
     FROM pg_roles r WHERE r.rolname = current_user`,
  )
  const { level, may, slots, taken, kept } = facts!
  const found: Diagnosis[] = [
    level === 'logical'
      ? { ok: true, what: 'the log tells changes: wal_level is logical' }
      : {
          ok: false,
          what: `wal_level is ${level}: the log tells no changes`,
          fix: "ALTER SYSTEM SET wal_level = 'logical';  -- and restart the server",
        },
    may === 'true'
      ? { ok: true, what: `${user} may read the log` }
      : {
          ok: false,
          what: `${user} has no REPLICATION attribute, which reading the log needs`,
          fix: `ALTER ROLE ${quoteIdent(user)} REPLICATION;  -- of a managed server: the role that gives it`,
        },
    Number(slots) - Number(taken) >= 2
      ? { ok: true, what: `${Number(slots) - Number(taken)} of ${slots} replication slots are free` }
      : {
          ok: false,
          what: `${taken} of ${slots} replication slots are taken, and a job needs two while it reads tables whole`,
          fix: `ALTER SYSTEM SET max_replication_slots = ${Number(slots) + 10};  -- and restart the server`,
        },
    {
      ok: true,
      what:
        kept === '-1'
          ? 'the server keeps its log without limit while no run succeeds (max_slot_wal_keep_size is -1)'
          : `the server keeps at most ${kept} of its log (max_slot_wal_keep_size)`,
    },
  ]
  const there: TableFacts[] = []
  for (const { table, key } of follows) {
    const facts = await tableFacts(client, name, table)
    if (!facts) continue
    there.push(facts)
    const obstacle = obstacleOf(facts, key, { table })
    found.push(
      obstacle
        ? { ok: false, what: `${facts.table} ${obstacle.what}`, fix: obstacle.fix }
        : { ok: true, what: `the log tells which row of ${facts.table} changes` },
    )
  }
  if (there.length > 0) found.push(await diagnosePublication(client, name, follows[0]!.reader, there))
  return found
}
