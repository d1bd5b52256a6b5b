import type { Migration } from '../database.ts'

/** A script in SQLite's words, for both databases. */
export function both(sqlite: string): Migration {
  const postgres = sqlite
    .replaceAll(/\bINTEGER\b/g, 'BIGINT')
    .replaceAll(/\bREAL\b/g, 'DOUBLE PRECISION')
    .replaceAll(/\) STRICT;/g, ');')
  return { sqlite, postgres }
}
