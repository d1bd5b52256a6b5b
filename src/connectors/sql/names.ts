/** The parts of `table`, `schema.table` or `"odd.schema"."table"`; a part that is not quoted is taken as written. */
export function nameParts(table: string): string[] {
  const parts = table.match(/"(?:[^"]|"")*"|[^".]+/g) ?? [table]
  return parts.map(part => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part))
}
