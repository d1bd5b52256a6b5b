import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createDatabase as createPostgres } from '../../src/demo/servers/postgres.ts'
import type { Contender, Place } from './contenders.ts'
import * as tools from './contenders.ts'
import { fillPostgres, type Sum, type Sums, sql, sumOfFiles, sumOfTable } from './data.ts'
import { drop, fresh, type Ground } from './ground.ts'
import type { Race } from './race.ts'

type Make = (place: Place) => Contender

export interface Copy {
  name: string
  title: string
  about?: string
  source: string
  reference: string
  /** Postgres with the rows of the source, where they are not all of lineitem. */
  twin?: string
}

/** A first copy into a database that is made anew for each run: empty, or as `filled` is, where no table may be dropped. */
export async function intoPostgres(
  ground: Ground,
  of: Copy,
  makes: Make[],
  filled?: { database: string; expected: Sums; kept(url: string): Promise<Sums> },
): Promise<Race> {
  const url = new URL(ground.postgres.url)
  const contenders = makes.map((make, index) => {
    const home = join(ground.dir, 'homes', `${of.name}-${index}`)
    url.pathname = `/${of.name.replaceAll('-', '_')}_${index}`
    const place: Place = { source: of.source, target: url.href, home, ...(filled && { over: 'kept' }) }
    return { ...make(place), target: url.href, database: url.pathname.slice(1), home }
  })
  const own = (contender: Contender) => contender as (typeof contenders)[number]
  return {
    ...of,
    servers: [ground.mariadb.pid, ground.postgres.pid],
    contenders: contenders.map(contender => ({
      ...contender,
      prepare: async () => {
        fresh(contender.home)
        const template = filled ? ` TEMPLATE "${filled.database}"` : ''
        await sql(ground.postgres.url, `CREATE DATABASE "${contender.database}"${template}`)
        await contender.prepare?.()
      },
    })),
    expected: async () => ({ ...(await sumOfTable(of.twin ?? ground.postgres.source)), ...filled?.expected }),
    result: async contender => ({
      ...(await sumOfTable(own(contender).target)),
      ...(await filled?.kept(own(contender).target)),
    }),
    clear: contender => drop(ground, own(contender).database),
  }
}

/** A first copy into Parquet files in an empty folder. */
export function intoParquet(ground: Ground, of: Copy, makes: Make[]): Race {
  const contenders = makes.map((make, index) => {
    const home = join(ground.dir, 'homes', `${of.name}-${index}`)
    const target = join(ground.dir, 'lakes', `${of.name}-${index}`)
    return { ...make({ source: of.source, target, home }), home, folder: target }
  })
  const own = (contender: Contender) => contender as (typeof contenders)[number]
  return {
    ...of,
    servers: [ground.mariadb.pid, ground.postgres.pid],
    contenders: contenders.map(contender => ({
      ...contender,
      prepare: async () => {
        fresh(contender.home)
        fresh(contender.folder)
        await contender.prepare?.()
      },
    })),
    expected: () => sumOfFiles(ground.files.parquet),
    result: async contender =>
      contender.tool === of.reference ? undefined : sumOfFiles(join(own(contender).folder, '**/*.parquet')),
    clear: async contender => rmSync(own(contender).folder, { recursive: true, force: true }),
  }
}

/** Into a table of as many rows, each with another value, that has a key, an index and a view, which are to stay. */
export async function existing(ground: Ground): Promise<Race> {
  const database = 'existing'
  const template = await createPostgres(ground.postgres, database)
  await fillPostgres(template, ground.files)
  await sql(template, 'UPDATE lineitem SET l_quantity = l_quantity + 1')
  await sql(template, 'CREATE INDEX lineitem_shipdate ON lineitem (l_shipdate)')
  await sql(template, 'CREATE VIEW shipped AS SELECT l_shipdate, l_quantity FROM lineitem')
  await sql(template, 'VACUUM FULL ANALYZE lineitem')
  return intoPostgres(
    ground,
    {
      name: 'existing',
      title: 'MariaDB to Postgres, into a filled table with a key, an index and a view',
      about:
        'The table has as many rows, each with another value, and came from elsewhere. Its key, index and view are to be there afterwards, and the view to show the new rows.',
      source: ground.mariadb.source,
      reference: 'bare pipe',
    },
    [tools.pipe, tools.nightfreight, tools.sling, tools.pgloader, tools.dlt, tools.duckdb],
    {
      database,
      expected: {
        'the list of indexes': { rows: 2, sum: '' },
        'the view': await quantities(ground.postgres.source, 'lineitem'),
      },
      kept: async url => {
        const valid =
          "SELECT count(*) AS n FROM pg_index WHERE indrelid = 'lineitem'::regclass AND indisvalid"
        return {
          'the list of indexes': { rows: Number((await sql(url, valid))[0]!.n), sum: '' },
          'the view': await quantities(url, 'shipped'),
        }
      },
    },
  )
}

async function quantities(url: string, relation: string): Promise<Sum> {
  const [row] = await sql(url, `SELECT count(*) AS rows, sum(l_quantity)::text AS sum FROM ${relation}`)
  return { rows: Number(row!.rows), sum: row!.sum! }
}
