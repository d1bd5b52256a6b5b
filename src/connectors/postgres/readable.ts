/** SQL of whether we may read all rows of a relation, of which `alias` is the line in pg_class. */
export const readableSql = (alias: string) =>
  `has_schema_privilege(${alias}.relnamespace, 'USAGE') AND has_table_privilege(${alias}.oid, 'SELECT') AND NOT row_security_active(${alias}.oid)`
