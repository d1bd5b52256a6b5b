import type pg from 'pg'
import type { ExtractSpec, TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { distinctNames, relation } from '../wire/selection.ts'
import { catalogTypes, duckType } from './catalogTypes.ts'
import { ask, postgresError, quoteTable } from './connect.ts'
import type { PostgresExtract } from './settings.ts'
import { columnOf, FAMILY } from './types.ts'

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
    `SELECT c.oid, greatest(c.reltuples, 0)::bigint AS rows, pg_total_relation_size(c.oid) AS bytes,
       (SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY 1) FROM pg_inherits WHERE inhparent = c.oid AND c.relkind = 'r') AS heirs
     FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`,
    [quoteTable(table)],
  )
  if (!found) return undefined
  const columns = await columnsOf(client, where, TABLE, [found.oid])
  const key = await ask(
    client,
    where,
    `SELECT a.attname AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.position`,
    [found.oid],
  )
  const { heirs } = found
  const schema: TableSchema = {
    columns,
    key: key.map(({ name }) => name!),
    // A key of the table is none of those that inherit from it.
    ...(heirs && { keyRepeats: true, notes: [`is read with the rows of what inherits from it: ${heirs}`] }),
  }
  const rows = Number(found.rows)
  return rows > 0 ? { ...schema, rows, bytes: Number(found.bytes) } : schema
}

/** What a query gives, as the server says without running it: no key, nothing that cannot be NULL. */
export async function describeQuery(
  client: pg.Client,
  connection: string,
  { name, options }: Pick<ExtractSpec, 'name' | 'options'>,
): Promise<TableSchema> {
  const where = `${connection}.${name}`
  const { query } = options as PostgresExtract
  const sql = `SELECT * FROM ${relation({ query }, quoteTable)} LIMIT 0`
  const { fields } = await client.query(sql).catch((cause: unknown) => {
    const error = postgresError(cause, connection)
    if (error.retryable || error.code === 'PERMISSION_DENIED') throw error
    throw new EngineError('CONFIG_INVALID', `extract.${name}.query: ${error.message}`, {
      cause,
      hint: `It is one SELECT in the SQL of ${connection}, which changes nothing.`,
    })
  })
  distinctNames(where, fields)
  const given = fields.map(({ name, dataTypeID, dataTypeModifier, tableID, columnID }, index) => ({
    name,
    type: dataTypeID,
    typmod: dataTypeModifier,
    rel: tableID,
    col: columnID,
    at: index,
  }))
  return { columns: await columnsOf(client, where, QUERY, [JSON.stringify(given)]), key: [] }
}

/** Columns of a table, by its oid. */
const TABLE = `SELECT attname, attnotnull, atttypid, atttypmod, attndims, attgenerated::text AS attgenerated, attcollation, attrelid, attnum
  FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`

/** Columns of an answer, as JSON; how many dimensions an array has only a table's column says. */
const QUERY = `SELECT j.name AS attname, false AS attnotnull, j.type AS atttypid, j.typmod AS atttypmod, coalesce(o.attndims, 0) AS attndims,
    '' AS attgenerated, 0::oid AS attcollation, 0::oid AS attrelid, j.at AS attnum
  FROM json_to_recordset($1::json) AS j(name text, type oid, typmod int, rel oid, col int, at int)
    LEFT JOIN pg_attribute o ON o.attrelid = j.rel AND o.attnum = j.col`

async function columnsOf(
  client: pg.Client,
  where: string,
  attributes: string,
  values: unknown[],
): Promise<Column[]> {
  const columns = await ask(
    client,
    where,
    `SELECT a.attname AS name, a.attnotnull AS required, b.typmod, a.atttypid AS declared, a.atttypmod AS modifier, a.attndims AS dimensions, format_type(b.oid, b.typmod) AS own,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS fallback,
       CASE WHEN a.attcollation NOT IN (0, b.typcollation) THEN a.attcollation::regcollation::text END AS collation,
       CASE WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname END AS type,
       (SELECT p.proname FROM pg_proc p WHERE p.oid = b.typsend AND p.pronamespace = 'pg_catalog'::regnamespace) AS send,
       EXISTS (SELECT FROM pg_cast k WHERE k.castsource = b.oid AND k.casttarget = 'text'::regtype AND k.castmethod <> 'i') AS cast,
       current_setting('server_encoding') AS encoding,
       CASE WHEN b.oid <> a.atttypid THEN format_type(a.atttypid, NULL) END AS domain
     FROM (${attributes}) a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum CROSS JOIN LATERAL (
       WITH RECURSIVE base AS (
         SELECT t.oid, t.typname, t.typnamespace, t.typsend, a.atttypmod AS typmod, t.typtype, t.typbasetype, t.typtypmod, t.typcollation
           FROM pg_type t WHERE t.oid = a.atttypid
         UNION ALL
         SELECT t.oid, t.typname, t.typnamespace, t.typsend, base.typtypmod, t.typtype, t.typbasetype, t.typtypmod, t.typcollation
           FROM base JOIN pg_type t ON base.typtype = 'd' AND t.oid = base.typbasetype)
       SELECT oid, typname, typnamespace, typsend, typmod, typcollation FROM base WHERE typtype <> 'd') b
     ORDER BY a.attnum`,
    values,
  )
  const types = await catalogTypes(
    client,
    where,
    columns.map(({ declared }) => declared!),
  )
  return columns.map(
    ({ name, own, domain, fallback, collation, type, send, cast, encoding, typmod, required, ...declared }) =>
      columnOf({
        name: name!,
        native: domain ? `${own} (domain ${domain})` : own!,
        origin: {
          family: FAMILY,
          type: own!,
          ...(type === null && { custom: true as const }),
          ...(domain && { domain }),
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
  )
}
