import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Workers } from '../engine/pool/pool.ts'
import { MysqlTarget } from '../src/connectors/mysql/target.ts'
import { columnType } from '../src/connectors/mysql/targetTypes.ts'
import type { FreshDatabase } from '../test/servers.ts'
import { type Contest, type Ready, timed } from './loadContest.ts'

const exec = promisify(execFile)

/**
 * `LOAD DATA LOCAL INFILE` of a ready file by the server's own client, into a table without and with its key, and our
 * staging; then ours whole, with the transaction that makes the keyed table.
 */
export async function mariadbContest(database: FreshDatabase, ready: Ready): Promise<Contest> {
  const { load, paths, rows, tsv } = ready
  const workers = new Workers(2)
  const { hostname, port, username, password } = new URL(database.url)
  const columns = load.columns.map(({ name, type }) => `${name} ${columnType(type)}`)
  const client = (own: string[]) => async () => {
    await database.query(`CREATE TABLE plain (${own.join(', ')}) CHARACTER SET utf8mb4`)
    const seconds = await timed(() =>
      exec(
        'mariadb',
        [
          '--local-infile=1',
          `--host=${hostname}`,
          `--port=${port}`,
          `--user=${decodeURIComponent(username)}`,
          database.name,
          `--execute=LOAD DATA LOCAL INFILE '${tsv}' INTO TABLE plain`,
        ],
        { env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) } },
      ),
    )
    const [held] = await database.query<{ n: string }>('SELECT count(*) AS n FROM plain')
    if (Number(held!.n) !== rows) throw new Error(`LOAD DATA: ${held!.n} rows instead of ${rows}`)
    await database.query('DROP TABLE plain')
    return seconds
  }
  const staged = (lanes: number, commit: boolean) => async () => {
    const { signal } = new AbortController()
    const target = new MysqlTarget({ name: 'bench', url: database.url })
    const id = { loadId: `bench/${lanes}`, job: 'bench' }
    const files = { paths, rows, keyPaths: [], keys: 0 }
    const means = { lanes, offload: workers.offload, progress() {} }
    try {
      const stage = await timed(() => target.stage({ ...id, load, ...files, ...means }, signal))
      if (!commit) {
        await target.abandon(id.loadId)
        return stage
      }
      const request = {
        ...id,
        run: 'once',
        runAt: new Date(),
        loads: [load],
        tables: [load.table],
        syncPoints: [],
      }
      return stage + (await timed(() => target.commit(request, signal)))
    } finally {
      await target.close()
      await database.query(`DROP TABLE IF EXISTS ${load.table}, nightfreight_loads, nightfreight_sync_points`)
    }
  }
  const [{ version }] = (await database.query('SELECT version() AS version')) as [{ version: string }]
  return {
    server: `MariaDB ${version}`,
    ways: {
      'LOAD DATA': client(columns),
      'LOAD DATA, keyed': client([...columns, `PRIMARY KEY (${load.key.join(', ')})`]),
      'staged 1': staged(1, false),
      'staged 2': staged(2, false),
      'staged 2, and the transaction': staged(2, true),
    },
    references: ['LOAD DATA', 'LOAD DATA, keyed'],
    bounds: [['staged 2', 'LOAD DATA', 1.15]],
    close: () => workers.close(),
  }
}
