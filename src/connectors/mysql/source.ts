import { distance } from 'fastest-levenshtein'
import type {
  ExtractSpec,
  ListedTable,
  Read,
  Snapshot,
  Source,
  TableSchema,
} from '../../../engine/contracts/source.ts'
import { EngineError, unless } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import { checkCondition, nameIn, narrowed, type Selection } from '../wire/selection.ts'
import { databaseAndName, keepsUnique, primaryKey, VERSION_END } from './catalog.ts'
import { MysqlChangeLog } from './changeLog.ts'
import { type Access, ask, connect, disconnect, type Session } from './connect.ts'
import { describeQuery } from './query.ts'
import { openSnapshot } from './snapshot.ts'
import { structureOf } from './structure.ts'
import {
  type CatalogColumn,
  identifier,
  isShape,
  literal,
  logicalColumn,
  originOf,
  tableName,
} from './types.ts'
import { unversionedOf } from './unversioned.ts'

/** A MySQL or MariaDB database as a source of tables. */
export class MysqlSource implements Source {
  readonly changeLog: MysqlChangeLog
  private readonly access: Access
  /** Tables whose storage engine has no snapshots. */
  private readonly unversioned = new Set<string>()

  constructor(access: Access) {
    this.access = access
    this.changeLog = new MysqlChangeLog(access, (lanes, signal, reads, locate) =>
      openSnapshot(access, lanes, signal, reads, [...this.unversioned], locate),
    )
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.using(signal, session => ask(session, 'SELECT 1', signal))
  }

  describe(extract: ExtractSpec, signal: AbortSignal): Promise<TableSchema> {
    return this.using(signal, session => this.describeTable(session, extract, signal))
  }

  async tables(signal: AbortSignal): Promise<ListedTable[]> {
    const rows = await this.using(signal, session =>
      ask<{
        place: string
        name: string
        row_count: string | null
        keyed: string | null
        at: string
        ix: string
        kind: string
      }>(
        session,
        `SELECT t.table_schema AS place, t.table_name AS name, t.table_rows AS row_count, s.column_name AS keyed,
                s.index_name AS ix, s.seq_in_index AS at, t.table_type AS kind
           FROM information_schema.tables t
           LEFT JOIN information_schema.statistics s ON s.table_schema = t.table_schema AND s.table_name = t.table_name AND BINARY s.table_name = BINARY t.table_name
          WHERE t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') AND t.table_name NOT LIKE 'nightfreight\\_%'
          ORDER BY t.table_name, s.seq_in_index`,
        signal,
      ),
    )
    const ends = rows.some(({ kind }) => kind === 'SYSTEM VERSIONED')
      ? await this.using(signal, session =>
          ask<{ table: string; name: string }>(
            session,
            `SELECT table_name AS \`table\`, column_name AS name FROM information_schema.columns WHERE table_schema = DATABASE() AND ${VERSION_END}`,
            signal,
          ),
        )
      : []
    const isMade = ({ name, keyed }: (typeof rows)[0]) =>
      !ends.some(end => end.table === name && end.name === keyed)
    return [...Map.groupBy(rows.filter(isMade), row => row.name)].map(([name, columns]) => ({
      name: /[.`]/.test(name) ? identifier(name) : name,
      bare: name,
      schema: columns[0]!.place,
      key: columns.flatMap(({ keyed, ix }) => (keyed !== null && ix === 'PRIMARY' ? [keyed] : [])),
      ...(columns[0]!.row_count !== null && { rows: Number(columns[0]!.row_count) }),
      indexed: columns.flatMap(({ keyed, at }) => (keyed !== null && Number(at) === 1 ? [keyed] : [])),
      ...(columns[0]!.kind === 'VIEW' && { isView: true as const }),
    }))
  }

  open(lanes: number, signal: AbortSignal, reads: Read[]): Promise<Snapshot> {
    return openSnapshot(this.access, lanes, signal, reads, [...this.unversioned])
  }

  async close(): Promise<void> {}

  private async using<T>(signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await connect(this.access, signal)
    try {
      return await work(session)
    } finally {
      await disconnect(session)
    }
  }

  private async describeTable(session: Session, extract: ExtractSpec, signal: AbortSignal) {
    const selected = extract.options as Selection
    const { table } = selected
    if (table === undefined) return describeQuery(session, extract, signal)
    const [database, name] = databaseAndName(table)
    const where = `${session.name}.${table}`
    const here = `table_schema = ${database} AND table_name = ${literal(name)}`
    const columns = await ask<CatalogColumn & object>(
      session,
      `SELECT column_name AS name, data_type AS data_type, column_type AS column_type, is_nullable AS nullable,
              numeric_precision AS num_precision, numeric_scale AS num_scale, character_set_name AS charset,
              collation_name AS collation, column_default AS fallback
         FROM information_schema.columns WHERE ${here} ORDER BY ordinal_position`,
      signal,
    )
    if (columns.length === 0) throw await missing(session, table, database, name, signal)
    const key = await primaryKey(session, table, signal)
    const [facts] = await ask(
      session,
      `SELECT table_rows AS row_count, data_length AS bytes, engine AS engine FROM information_schema.tables WHERE ${here}`,
      signal,
    )
    for (const each of await unversionedOf(session, table, signal)) this.unversioned.add(each)
    const schema: TableSchema = {
      columns: columns.map(column => {
        const origin = originOf(column)
        return {
          ...logicalColumn(where, column, ownValue(extract.columns, nameIn(selected, column.name))),
          ...(origin && { origin }),
        }
      }),
      key,
    }
    if (facts?.engine && !keepsUnique(facts.engine)) schema.keyRepeats = true
    schema.structure = await structureOf(session, table, signal)
    // The catalog shows no column that we may not read: `*` is all of them.
    const every = await unless('PERMISSION_DENIED', () => looked(session, table, signal))
    const shapes = columns.filter(isShape).map(column => `${column.name} (${column.column_type})`)
    schema.notes = [
      ...(every === undefined
        ? ['columns that the user may not SELECT are left out: the table has more than these']
        : []),
      ...(shapes.length > 0
        ? [`${shapes.join(', ')}: shapes come as WKB, without their spatial reference id`]
        : []),
    ]
    if (facts?.row_count != null) schema.rows = Number(facts.row_count)
    if (facts?.bytes != null) schema.bytes = Number(facts.bytes)
    await checkCondition(session.name, extract.name, selected, condition =>
      ask(session, `SELECT 1 FROM ${tableName(table)} WHERE ${condition} LIMIT 0`, signal),
    )
    return narrowed(where, schema, selected)
  }
}

/** Reads no row of a table. Of a view, that fails where what it is made of is gone: the server names neither it nor a way out. */
async function looked(session: Session, table: string, signal: AbortSignal) {
  try {
    return await ask(session, `SELECT * FROM ${tableName(table)} LIMIT 0`, signal)
  } catch (error) {
    if (!(error instanceof EngineError) || error.retryable || error.code === 'PERMISSION_DENIED') throw error
    throw new EngineError(error.code, `${session.name}.${table}: cannot be read: ${error.message}`, {
      cause: error,
      hint: 'If it is a view: mend it (CREATE OR REPLACE VIEW …), or leave it out.',
    })
  }
}

async function missing(
  session: Session,
  table: string,
  database: string,
  name: string,
  signal: AbortSignal,
): Promise<EngineError> {
  const rows = await ask<{ name: string }>(
    session,
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ${database}`,
    signal,
  )
  if (rows.some(row => row.name === name)) await looked(session, table, signal)
  const nearest = rows
    .filter(row => row.name !== name)
    .map(row => ({ name: row.name, far: distance(row.name.toLowerCase(), name.toLowerCase()) }))
    .filter(({ far }) => far <= Math.max(2, name.length / 2))
    .sort((a, b) => a.far - b.far || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(row => row.name)
  const hint =
    nearest.length > 0
      ? `Did you mean ${nearest.join(', ')}?`
      : 'Check the name and the database, and that the user may SELECT from it.'
  return new EngineError('TABLE_MISSING', `${session.name}: there is no table ${table}`, { hint })
}
