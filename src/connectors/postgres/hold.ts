import type pg from 'pg'
import type { Read } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownRefusal } from '../wire/refusal.ts'
import { relation } from '../wire/selection.ts'
import { ask, quoteTable } from './connect.ts'
import { selectSql } from './lane.ts'
import { type PostgresExtract, rowSecurity } from './settings.ts'

/**
 * Locks what reads are of until the transaction ends, so that nobody empties, swaps or rewrites it: TRUNCATE and ALTER TABLE make
 * a new file, in which an older snapshot finds no row. Gives the statements, by which lanes lock the same, and why what cannot be
 * locked cannot: its read says so.
 */
export async function hold(
  client: pg.Client,
  where: string,
  reads: Read[],
): Promise<{ locks: string[]; refused: Map<unknown, EngineError> }> {
  const all = await locked(client, where, reads)
  if (!(all instanceof EngineError)) return { locks: all, refused: new Map() }
  const locks: string[] = []
  const refused = new Map<unknown, EngineError>()
  for (const read of reads) {
    const own = await locked(client, where, [read])
    if (own instanceof EngineError) refused.set(read.options, own)
    else locks.push(...own)
  }
  return { locks, refused }
}

/** The statements that have locked what is read; why one of them cannot. */
async function locked(client: pg.Client, where: string, reads: Read[]): Promise<string[] | EngineError> {
  await ask(client, where, 'SAVEPOINT held')
  let made: string[] | EngineError
  try {
    const plain = await plainTables(client, where, reads)
    made = reads.map(read => lockSql(read, plain))
    if (made.length > 0) await ask(client, where, made.join('; '))
  } catch (error) {
    made = ownRefusal(error)
    await ask(client, where, 'ROLLBACK TO held')
  }
  // No snapshot is exported from within one.
  await ask(client, where, 'RELEASE held')
  return made
}

/**
 * The read's own SELECT locks whatever is behind a view, a query, a condition or a policy, where one of fewer columns would be planned
 * without some of it; but it locks the indexes of all partitions, too.
 */
function lockSql(read: Read, plain: Set<string>): string {
  const options = read.options as PostgresExtract
  const name = options.table === undefined ? undefined : quoteTable(options.table)
  return name !== undefined && options.where === undefined && plain.has(name)
    ? `LOCK TABLE ${name} IN ACCESS SHARE MODE`
    : `${rowSecurity(options)}; ${selectSql(read, relation(options, quoteTable))} LIMIT 0`
}

/** Which of the tables that are read are ours to lock as a whole, and have no policy that reads others. */
async function plainTables(client: pg.Client, where: string, reads: Read[]): Promise<Set<string>> {
  const names = reads.flatMap(({ options }) => {
    const { table } = options as PostgresExtract
    return table === undefined ? [] : [quoteTable(table)]
  })
  const found = await ask(
    client,
    where,
    `SELECT asked.name FROM unnest($1::text[]) AS asked(name) JOIN pg_class c ON c.oid = to_regclass(asked.name)
     WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND has_table_privilege(c.oid, 'SELECT')`,
    [names],
  )
  return new Set(found.map(({ name }) => name!))
}

/**
 * Fails, for another attempt to see it, where something that is held is not what it was when the snapshot of the transaction
 * was taken: the catalogue's rows are of the snapshot, its functions tell of now.
 */
export async function refuseNewer(client: pg.Client, where: string): Promise<void> {
  const [newer] = await ask(
    client,
    where,
    `SELECT now.identity AS name
     FROM pg_locks l CROSS JOIN pg_identify_object('pg_class'::regclass, l.relation, 0) now
       LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND now.type IN ('table', 'materialized view')
       AND (now.identity IS DISTINCT FROM quote_ident(n.nspname) || '.' || quote_ident(c.relname)
         OR c.relfilenode <> 0 AND c.relfilenode <> pg_relation_filenode(c.oid))`,
  )
  if (newer)
    throw new EngineError('DEADLOCK', `${where}: ${newer.name} was emptied, made or written anew just now`, {
      hint: 'Run the job again: a new snapshot sees what it holds now.',
    })
}
