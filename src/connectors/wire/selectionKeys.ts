import { z } from 'zod'

const columns = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform(value => [value].flat())

/** What of a table is read: keys of an extract of a database. */
export const selection = {
  table: z.string().min(1).optional(),
  /** A query in the database's own SQL, in place of a table. */
  query: z
    .string()
    .transform(sql => sql.replace(/[;\s]+$/, ''))
    .pipe(z.string().min(1))
    .optional(),
  /** A condition in the database's own SQL. */
  where: z.string().min(1).optional(),
  /** The only columns that are read, or those that are not. */
  select: columns.optional(),
  omit: columns.optional(),
  /** Other names for columns, by the database's. */
  rename: z.record(z.string(), z.string().min(1)).optional(),
}
