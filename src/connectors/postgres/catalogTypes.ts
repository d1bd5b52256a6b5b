import type pg from 'pg'
import { typeName } from '../../../engine/types/logical.ts'
import { ask } from './connect.ts'
import { ruleOf } from './types.ts'

/** A type as pg_type has it. */
interface CatalogType {
  /** typname of a type in pg_catalog. */
  name: string | null
  /** typtype: `e` enum, `c` composite, `d` domain … */
  kind: string
  /** Type of the items of a true array. */
  item?: string
  /** Of a domain. */
  base?: string
  typmod: number
  dimensions: number
  labels?: string[]
  fields?: { name: string; type: string; typmod: number; dimensions: number }[]
}

/** Types, by their oids, and all that they are made of. */
export async function catalogTypes(
  client: pg.Client,
  where: string,
  oids: string[],
): Promise<Map<string, CatalogType>> {
  const rows = await ask(
    client,
    where,
    `WITH RECURSIVE used AS (
       SELECT unnest($1::oid[]) AS oid
       UNION
       SELECT part.oid FROM used JOIN pg_type t ON t.oid = used.oid CROSS JOIN LATERAL (
         SELECT t.typelem WHERE t.typcategory = 'A' UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
         UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
       ) part(oid) WHERE part.oid <> 0)
     SELECT t.oid, t.typtype AS kind, t.typbasetype AS base, t.typtypmod AS typmod, t.typndims AS dimensions,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname END AS name,
       CASE WHEN t.typinput = 'pg_catalog.array_in'::regproc THEN t.typelem END AS item,
       (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)::text AS labels,
       CASE WHEN t.typtype = 'c' THEN (SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::text, 'typmod', a.atttypmod,
           'dimensions', a.attndims) ORDER BY a.attnum)
         FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)::text END AS fields
     FROM used JOIN pg_type t ON t.oid = used.oid`,
    [`{${oids.join(', ')}}`],
  )
  return new Map(
    rows.map(({ oid, name, kind, item, base, typmod, dimensions, labels, fields }) => [
      oid!,
      {
        name: name ?? null,
        kind: kind!,
        typmod: Number(typmod),
        dimensions: Number(dimensions),
        ...(item && item !== '0' && { item }),
        ...(base && base !== '0' && { base }),
        ...(labels && { labels: JSON.parse(labels) as string[] }),
        ...(fields && { fields: JSON.parse(fields) as CatalogType['fields'] }),
      } satisfies CatalogType,
    ]),
  )
}

/**
 * The type of DuckDB that holds what a type does, value by value: a list of as many dimensions as the column was declared
 * with, a struct of a composite. VARCHAR where there is none.
 */
export function duckType(
  types: Map<string, CatalogType>,
  oid: string,
  typmod: number,
  dimensions: number,
): string {
  const type = types.get(oid)
  if (!type) return 'VARCHAR'
  if (type.base) return duckType(types, type.base, type.typmod, Math.max(dimensions, type.dimensions))
  if (type.item) return `${duckType(types, type.item, typmod, 0)}${'[]'.repeat(Math.max(1, dimensions))}`
  // An empty label is one of Postgres' as well.
  if (type.labels) return `ENUM(${type.labels.map(label => `'${label.replaceAll("'", "''")}'`).join(', ')})`
  if (type.fields)
    return `STRUCT(${type.fields
      .map(
        field =>
          `"${field.name.replaceAll('"', '""')}" ${duckType(types, field.type, field.typmod, field.dimensions)}`,
      )
      .join(', ')})`
  const rule = ruleOf(type.name, typmod)
  return rule?.duck ?? (rule ? typeName(rule.logical) : 'VARCHAR')
}
