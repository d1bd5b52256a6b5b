import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Workers } from '../engine/pool/pool.ts'
import { stagingType } from '../src/connectors/postgres/merge.ts'
import { TargetSession } from '../src/connectors/postgres/session.ts'
import { stageLoad, stagingNames } from '../src/connectors/postgres/staging.ts'
import { ensureState } from '../src/connectors/postgres/state.ts'
import type { FreshDatabase } from '../test/servers.ts'
import { type Contest, type Ready, timed } from './loadContest.ts'

const exec = promisify(execFile)

/** `psql \copy` of ready-made files and our staging, into the same kind of unlogged table. */
export async function postgresContest(database: FreshDatabase, ready: Ready): Promise<Contest> {
  const { load, paths, rows, binary, csv } = ready
  const session = new TargetSession({ url: database.url, name: 'bench' })
  const workers = new Workers(2)
  await ensureState(session)
  const loadId = 'L'
  const names = stagingNames(session, loadId, load)
  const columns = load.columns.map(({ name, type }) => `${name} ${stagingType(type)}`).join(', ')
  const attempt = async (table: string, work: () => Promise<unknown>) => {
    // What the last one left is gone before the clock starts.
    await session.query(`DROP TABLE IF EXISTS lone, ${names.rows}, ${names.keys}`)
    if (table === 'lone') await session.query(`CREATE UNLOGGED TABLE lone (${columns})`)
    await session.query('CHECKPOINT')
    const seconds = await timed(work)
    const [held] = await database.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)
    if (Number(held!.n) !== rows) throw new Error(`${table}: ${held!.n} rows instead of ${rows}`)
    return seconds
  }
  const psql = (file: string, format: string) => () =>
    attempt('lone', () =>
      exec('psql', [database.url, '-qc', `\\copy lone from '${file}' with (format ${format})`]),
    )
  const staged = (lanes: number) => () =>
    attempt(names.rows, () => {
      const files = { paths, rows, keyPaths: [], keys: 0 }
      const means = { lanes, offload: workers.offload, progress() {} }
      return stageLoad(
        session,
        { loadId, job: 'bench', load, ...files, ...means },
        undefined,
        new AbortController().signal,
      )
    })
  const { stdout } = await exec('psql', ['--version'])
  const [{ server_version }] = (await database.query('SHOW server_version')) as [{ server_version: string }]
  return {
    server: `Postgres ${server_version}, ${stdout.trim()}`,
    ways: {
      'psql binary': psql(binary, 'binary'),
      'psql CSV': psql(csv, 'csv'),
      'staged 1': staged(1),
      'staged 2': staged(2),
    },
    references: ['psql binary', 'psql CSV'],
    bounds: [
      ['staged 1', 'psql binary', 1.15],
      ['staged 2', 'psql CSV', 1],
    ],
    close: async () => {
      await session.close()
      await workers.close()
    },
  }
}
