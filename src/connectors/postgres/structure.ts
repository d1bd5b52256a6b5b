import type pg from 'pg'
import type { TableStructure } from '../../../engine/contracts/structure.ts'
import { ask, quoteTable, type TextRow } from './connect.ts'
import { FAMILY } from './types.ts'

/** Indexes but the primary key's, foreign keys and checks of a table. */
export async function structureOf(client: pg.Client, where: string, table: string): Promise<TableStructure> {
  const columns = (numbers: string, of: string) =>
    `(SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(${numbers}) WITH ORDINALITY AS k(number, place)
       JOIN pg_attribute a ON a.attrelid = ${of} AND a.attnum = k.number)::text`
  const named = (condition: string) =>
    `SELECT c.oid, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${condition}`
  const [self] = await ask(client, where, named('c.oid = to_regclass($1)'), [quoteTable(table)])
  const oid = self?.oid
  const indexes = await ask(
    client,
    where,
    `SELECT c.relname AS name, m.amname AS method, i.indisunique AS is_unique, i.indpred IS NOT NULL AS partial,
       i.indexprs IS NOT NULL AS computed, i.indisexclusion AS excludes,
       (SELECT bool_and(o.opcdefault AND o.opcnamespace = 'pg_catalog'::regnamespace) FROM unnest(i.indclass::oid[]) AS k(oid) JOIN pg_opclass o USING (oid)) AS usual, ${columns('(i.indkey::int2[])[0:i.indnkeyatts - 1]', 'i.indrelid')} AS columns
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
     WHERE i.indrelid = $1 AND NOT i.indisprimary AND i.indisvalid ORDER BY c.relname`,
    [oid],
  )
  const references = await ask(
    client,
    where,
    `SELECT ${columns('f.conkey', 'f.conrelid')} AS columns, ${columns('f.confkey', 'f.confrelid')} AS parents, p.name AS parent
     FROM pg_constraint f JOIN (${named('true')}) p ON p.oid = f.confrelid WHERE f.contype = 'f' AND f.conrelid = $1 AND f.conparentid = 0 ORDER BY f.conname`,
    [oid],
  )
  const checks = await ask(
    client,
    where,
    `SELECT conname AS name FROM pg_constraint WHERE conrelid = $1 AND contype = 'c' ORDER BY conname`,
    [oid],
  )
  const structure: TableStructure = {
    table: self?.name ?? '',
    indexes: [],
    references: references.map(({ columns, parents, parent }) => ({
      columns: JSON.parse(columns!) as string[],
      table: parent!,
      to: JSON.parse(parents!) as string[],
    })),
    others: checks.map(({ name }) => `constraint ${name}: a CHECK`),
  }
  for (const index of indexes) {
    const why = refusal(index)
    const { name, method, is_unique, columns } = index
    if (why) structure.others.push(`index ${name}: ${why}`)
    else
      structure.indexes.push({
        columns: JSON.parse(columns!) as string[],
        unique: is_unique === 't',
        ...(method !== 'btree' && { method: { family: FAMILY, name: method! } }),
      })
  }
  return structure
}

/** Access methods that every Postgres has. */
const METHODS = ['hash', 'gin', 'gist', 'spgist', 'brin']

/** Why an index is of no kind that another Postgres is given. */
function refusal(index: TextRow): string | undefined {
  if (index.excludes === 't') return 'an exclusion constraint'
  if (index.partial === 't') return 'of a part of the rows'
  if (index.computed === 't') return 'of an expression'
  if (index.method === 'btree') return undefined
  return METHODS.includes(index.method!) && index.usual === 't' ? undefined : index.method!
}
