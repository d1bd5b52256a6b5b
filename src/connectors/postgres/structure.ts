import type pg from 'pg'
import type { TableStructure } from '../../../engine/contracts/structure.ts'
import { ask, quoteTable } from './connect.ts'

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
       i.indexprs IS NOT NULL AS computed, ${columns('(i.indkey::int2[])[0:i.indnkeyatts - 1]', 'i.indrelid')} AS columns
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
  for (const { name, method, is_unique, partial, computed, columns } of indexes) {
    const why =
      method !== 'btree'
        ? method
        : partial === 't'
          ? 'of a part of the rows'
          : computed === 't'
            ? 'of an expression'
            : undefined
    if (why) structure.others.push(`index ${name}: ${why}`)
    else structure.indexes.push({ columns: JSON.parse(columns!) as string[], unique: is_unique === 't' })
  }
  return structure
}
