import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { ask, type Session } from './connect.ts'
import { unchecked } from './foreignKeys.ts'
import { nameOf, tableIdentity } from './standing.ts'
import { NAME, ownName } from './state.ts'
import { change, loadError, ownerLock, type TargetSession } from './targetSession.ts'
import { identifier, literal, splitTable, tableName } from './types.ts'

// Definitions commit by themselves here, so a table that a load makes would be seen before its rows are. It is made and
// filled under a name of its own, and renamed once the load has committed; what is to be renamed is noted with the data.

/** A table that a load makes, and whose it is. */
interface Made {
  /** Its name until it is published, as loads name tables. */
  beside: string
  /** The name that it gets. */
  name: string
  load_id: string
  owner: string
  /** 1 where the load has committed. */
  filled: string
}

/** Notes the tables that a load is about to make; by its own name, under which each is filled. */
export async function noteMade(
  session: TargetSession,
  job: string,
  loadId: string,
  tables: string[],
): Promise<Map<string, string>> {
  await session.rows(
    `CREATE TABLE IF NOT EXISTS nightfreight_made (
      beside ${NAME} PRIMARY KEY, name ${NAME} NOT NULL, noted ${NAME} NOT NULL, job ${NAME} NOT NULL,
      load_id varchar(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, owner varchar(40) NOT NULL,
      filled tinyint NOT NULL) ENGINE = InnoDB`,
  )
  const made = tables.map(table => {
    const database = splitTable(table).slice(0, -1).map(identifier)
    return [table, [...database, ownName(session, loadId, table, 'table')].join('.')] as const
  })
  const rows = made.map(
    ([table, beside]) =>
      `(${[literal(beside), literal(table), nameOf(table), ...[job, loadId, session.owner].map(literal)].join(', ')}, 0)`,
  )
  await session.rows(`REPLACE INTO nightfreight_made VALUES ${rows.join(', ')}`)
  return new Map(made)
}

/** SQL that says, in a load's transaction, that the tables it made are to be published. */
export const fillMade = ({ owner }: TargetSession, loadId: string) =>
  `UPDATE nightfreight_made SET filled = 1 WHERE load_id = ${literal(loadId)} AND owner = ${literal(owner)}`

/** Fails with TARGET_CHANGED where one of the tables is there: somebody has made it since the load began. */
export async function refuseMade(session: TargetSession, where: string, tables: string[]): Promise<void> {
  for (const table of tables)
    if (await exists(session, table))
      throw new EngineError(
        'TARGET_CHANGED',
        `${where}.${table}: somebody has made it since the load began`,
        {
          hint: 'Nothing was loaded. Run the job again: it loads into that table, where it can.',
        },
      )
}

/**
 * Ends what loads have begun that made tables, where they are of this session and load, or their session is no more:
 * those of loads that have committed get their names, all at once, the others are dropped. `locked`: tables that only this
 * session's load is at, so that whoever has begun one of them is at it no more.
 */
export async function settleMade(
  session: TargetSession,
  { loadId, locked = [] }: { loadId?: string | undefined; locked?: string[] } = {},
  signal?: AbortSignal,
): Promise<void> {
  const open = await session.open(signal)
  const ours = locked.length > 0 ? `noted IN (${locked.map(nameOf).join(', ')})` : 'FALSE'
  const made = await ask<Made & { ours: string }>(
    open,
    `SELECT beside, name, load_id, owner, filled, ${ours} AS ours FROM nightfreight_made`,
    signal,
  ).catch(async error => {
    const { code } = error as EngineError
    // No load has made one yet. Whoever has rights on single tables is told of one that is missing that it is denied.
    if (code === 'TABLE_MISSING') return []
    if (code === 'PERMISSION_DENIED' && !(await exists(session, 'nightfreight_made'))) return []
    throw loadError(error, session.access.name)
  })
  for (const tables of Map.groupBy(made, row => `${row.owner} ${row.load_id}`).values()) {
    const { owner, load_id, filled } = tables[0]!
    const own = owner === session.owner
    const isLocked = tables.some(({ ours }) => Number(ours) === 1)
    if (own && load_id !== loadId && !isLocked) continue
    // Of a load that has committed, whoever repeats it publishes its tables, whether or not its session lives on.
    if (own || (load_id === loadId && Number(filled) === 1)) {
      await settle(session, open, tables, signal)
      continue
    }
    const [lock] = isLocked ? [] : await ask(open, `SELECT GET_LOCK(${ownerLock(owner)}, 0) AS free`, signal)
    if (lock && Number(lock.free) !== 1) continue
    try {
      await settle(session, open, tables, signal)
    } catch (error) {
      // Whoever repeats that load is told; who may only read leaves it to those that load.
      if (!FOR_OTHERS.includes((error as EngineError).code)) throw error
    } finally {
      if (lock) await ask(open, `SELECT RELEASE_LOCK(${ownerLock(owner)})`)
    }
  }
}

const FOR_OTHERS: ErrorCode[] = ['TARGET_CHANGED', 'PERMISSION_DENIED']

/** Publishes those of a load's tables that are to be, and drops the others. */
async function settle(
  session: TargetSession,
  open: Session,
  tables: Made[],
  signal?: AbortSignal,
): Promise<void> {
  const ready = await decided(session, open, tables, signal)
  if (ready.length > 0) await publish(session, open, ready, signal)
  const others = tables.filter(({ beside }) => !ready.some(table => table.beside === beside))
  await discard(session, others)
}

/**
 * Those of the tables that are filled, and that no later load has written. Decided under the lock of their lines, for which
 * a transaction is waited that has filled them and is at its COMMIT, though nobody hears of it any more.
 */
async function decided(
  session: TargetSession,
  open: Session,
  tables: Made[],
  signal?: AbortSignal,
): Promise<Made[]> {
  const these = besides(tables)
  return undone(session, open, async () => {
    await ask(open, `SELECT filled FROM nightfreight_made WHERE ${these} FOR UPDATE`, signal)
    // This transaction's view begins here.
    return ask<Made>(
      open,
      `SELECT m.beside, m.name, m.load_id, m.owner, m.filled FROM nightfreight_made AS m
        LEFT JOIN nightfreight_loads AS l ON l.load_id = m.load_id
        LEFT JOIN nightfreight_tables AS t ON t.name = m.noted
       WHERE ${these} AND m.filled = 1 AND t.run <=> l.run`,
      signal,
    )
  })
}

async function publish(
  session: TargetSession,
  open: Session,
  tables: Made[],
  signal?: AbortSignal,
): Promise<void> {
  const waiting: Made[] = []
  for (const table of tables) if (await exists(session, table.beside)) waiting.push(table)
  if (waiting.length > 0) {
    const renames = waiting.map(({ beside, name }) => `${tableName(beside)} TO ${tableName(name)}`)
    await ask(open, `RENAME TABLE ${renames.join(', ')}`, signal).catch(async error => {
      const { errno } = ((error as EngineError).cause ?? {}) as { errno?: number }
      if (errno !== NO_TABLE && errno !== TABLE_EXISTS) throw loadError(error, session.access.name)
      // Unless another who repeats the load was first.
      if (await exists(session, waiting[0]!.beside)) throw taken(session, waiting)
    })
  }
  // A table's identity is not that under its former name; until it is noted, the next load is a whole one.
  const noted: string[] = []
  for (const { name } of tables) {
    const identity = await tableIdentity(session, name)
    if (identity !== undefined)
      noted.push(
        `UPDATE nightfreight_tables SET identity = ${literal(identity)} WHERE name = ${nameOf(name)}`,
      )
  }
  await undone(session, open, async () => {
    for (const sql of [...noted, forget(tables)]) await change(open, session.access.name, sql, signal)
    await ask(open, 'COMMIT', signal)
  })
}

/** Does something in a transaction, of which nothing is left open: what `act` does not commit is taken back. */
async function undone<T>(session: TargetSession, open: Session, act: () => Promise<T>): Promise<T> {
  try {
    await ask(open, 'START TRANSACTION')
    return await act()
  } catch (error) {
    throw loadError(error, session.access.name)
  } finally {
    // Of a connection that was lost the server takes it back.
    await ask(open, 'ROLLBACK').catch(() => {})
  }
}

async function discard(session: TargetSession, tables: Made[]): Promise<void> {
  if (tables.length === 0) return
  const run = (sql: string) => session.rows(sql)
  const names = tables.map(({ beside }) => tableName(beside))
  // They may refer to each other.
  await unchecked(run, () => run(`DROP TABLE IF EXISTS ${names.join(', ')}`))
  await run(forget(tables))
}

const forget = (tables: Made[]) => `DELETE FROM nightfreight_made WHERE ${besides(tables)}`

/** SQL that is true of the lines of tables. */
const besides = (tables: Made[]) => `beside IN (${tables.map(({ beside }) => literal(beside)).join(', ')})`

const taken = ({ access }: TargetSession, tables: Made[]) =>
  new EngineError(
    'TARGET_CHANGED',
    `${access.name}: tables were loaded, and cannot get their names, for somebody has made tables of those: ${tables
      .map(({ name, beside }) => `${name} (loaded as ${beside})`)
      .join(', ')}`,
    { hint: 'Rename or drop those tables, and run the job again: what was loaded then gets its names.' },
  )

async function exists(session: TargetSession, table: string): Promise<boolean> {
  return (await tableIdentity(session, table)) !== undefined
}

const NO_TABLE = 1146
const TABLE_EXISTS = 1050
