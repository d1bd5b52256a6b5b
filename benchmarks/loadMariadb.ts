import { execFileSync } from 'node:child_process'
import { Workers } from '../engine/pool/pool.ts'
import type { StagedLoad } from '../engine/ports.ts'
import type { Column } from '../engine/types/logical.ts'
import { MysqlTarget } from '../src/connectors/mysql/target.ts'
import { columnType } from '../src/connectors/mysql/targetTypes.ts'
import type { FreshDatabase } from '../test/servers.ts'

/** Seconds of one round. */
export interface MariadbLoad {
  /** `mariadb -e "LOAD DATA LOCAL INFILE"` of a ready file into a table without and with its key. */
  plain: number
  plainKeyed: number
  /** Parquet parts into the staging table on one connection and on two. */
  stage1: number
  stage2: number
  /** The transaction: from the staging table into a keyed table that the load makes. */
  commit: number
}

/** What is loaded: the same rows as Parquet parts and as one file of tab-separated lines, in the columns' order. */
export interface Ready {
  parts: string[]
  file: string
  rows: number
  columns: Column[]
  key: string[]
}

/** Loads the same rows into MariaDB in each way once, and drops them again; the bound is stage2 ≤ 1.15 × plain. */
export async function loadMariadb(database: FreshDatabase, ready: Ready): Promise<MariadbLoad> {
  const columns = ready.columns.map(({ name, type }) => `${name} ${columnType(type)}`)
  const plain = await clientLoad(database, ready.file, columns)
  const plainKeyed = await clientLoad(database, ready.file, [
    ...columns,
    `PRIMARY KEY (${ready.key.join(', ')})`,
  ])
  const one = await ourLoad(database, ready, 1)
  const two = await ourLoad(database, ready, 2)
  return { plain, plainKeyed, stage1: one.stage, stage2: two.stage, commit: two.commit }
}

async function clientLoad(database: FreshDatabase, file: string, columns: string[]): Promise<number> {
  const { hostname, port, username, password } = new URL(database.url)
  await database.query(`CREATE TABLE plain (${columns.join(', ')}) CHARACTER SET utf8mb4`)
  const seconds = await timed(async () => {
    execFileSync(
      'mariadb',
      [
        '--local-infile=1',
        `--host=${hostname}`,
        `--port=${port}`,
        `--user=${decodeURIComponent(username)}`,
        database.name,
        `--execute=LOAD DATA LOCAL INFILE '${file}' INTO TABLE plain`,
      ],
      { env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) } },
    )
  })
  await database.query('DROP TABLE plain')
  return seconds
}

async function ourLoad(database: FreshDatabase, ready: Ready, lanes: number) {
  const { signal } = new AbortController()
  const workers = new Workers(lanes)
  const target = new MysqlTarget({ name: 'bench', url: database.url })
  const load: StagedLoad = {
    table: 'lineitem_loaded',
    to: 'bench',
    from: 'lineitem',
    mode: 'merge',
    key: ready.key,
    columns: ready.columns,
    insertOnly: [],
    deletes: 'keep',
    partitionBy: [],
    compare: [],
    ignore: [],
    scd2: { validFrom: 'valid_from', validTo: 'valid_to', current: 'is_current' },
    guard: { maxDeleteShare: 1, allowEmpty: false },
    whole: true,
  }
  const id = { loadId: `bench/${lanes}`, job: 'bench' }
  const files = { paths: ready.parts, rows: ready.rows, keyPaths: [], keys: 0 }
  const means = { lanes, offload: workers.offload, progress() {} }
  try {
    const stage = await timed(() => target.stage({ ...id, load, ...files, ...means }, signal))
    const commit = await timed(() =>
      target.commit({ ...id, run: 'once', runAt: new Date(), loads: [load], syncPoints: [] }, signal),
    )
    return { stage, commit }
  } finally {
    await workers.close()
    await target.close()
    await database.query('DROP TABLE IF EXISTS lineitem_loaded, nightfreight_loads, nightfreight_sync_points')
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
