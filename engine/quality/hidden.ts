import { shownBy } from '../lineage/shown.ts'
import type { Mask } from '../mask.ts'
import { type Duck, quote, quoteName } from '../sql/duckdb.ts'
import type { OrderedCheck, SqlGraph } from '../sql/model.ts'
import { LAST_VALUES } from '../sql/ownVariables.ts'

/** What people see of a set check's rows. */
const SEEN = ['message', 'value']

/**
 * The set checks whose messages or measured values may show values of sensitive columns: of this night, or of an earlier
 * one by what such a check measured then. What only counts them, or asks about them, shows none.
 */
export async function hiddenChecks(
  { duck, mask }: { duck: Duck; mask: Mask },
  { checks, macros, queries }: SqlGraph,
): Promise<Set<OrderedCheck>> {
  const sets = checks.filter(({ model }) => model === undefined)
  if (!mask.isNeeded || sets.length === 0) return new Set()
  const tables = new Map<string, { name: string; columns?: string[] }>()
  for (const name of new Set(sets.flatMap(({ reads }) => reads))) {
    // One that is not there is of a table that failed: what reads it is not run.
    const found = await duck.rows(`DESCRIBE ${quoteName(name)}`).catch(() => undefined)
    const columns = found?.map(({ column_name }) => String(column_name))
    tables.set(name.toLowerCase(), { name, ...(columns && { columns }) })
  }
  const bodies = new Map(macros.map(({ name, bodies }) => [name.toLowerCase(), bodies]))
  const known = {
    table: (name: string) => tables.get(name.toLowerCase()),
    macro: (name: string) => bodies.get(name),
  }
  const shows = ({ file, reads }: OrderedCheck) => {
    const query = queries.get(file)
    const shown = query && shownBy(query, SEEN, known)
    return shown
      ? shown.some(each => mask.covers(each))
      : reads.some(table => mask.columnsOf(table).length > 0)
  }
  const hidden = sets.filter(shows)
  const remembers = ({ sql }: OrderedCheck) =>
    sql.toLowerCase().includes(LAST_VALUES) && hidden.some(({ name }) => sql.includes(quote(name)))
  return new Set([...hidden, ...sets.filter(remembers)])
}
