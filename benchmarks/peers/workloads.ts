import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createDatabase as createPostgres } from '../../src/demo/servers/postgres.ts'
import type { Contender, Place } from './contenders.ts'
import * as tools from './contenders.ts'
import { COLUMNS, fillPostgres, sql, sumOfFiles, sumOfTable } from './data.ts'
import { drop, fresh, type Ground } from './ground.ts'
import { measured } from './measure.ts'
import { queries } from './queries.ts'
import type { Race } from './race.ts'

type Make = (place: Place) => Contender

/** A first copy into an empty database, made anew for each run. */
async function intoPostgres(
  ground: Ground,
  of: { name: string; title: string; source: string; reference: string },
  makes: Make[],
): Promise<Race> {
  const url = new URL(ground.postgres.url)
  const contenders = makes.map((make, index) => {
    const home = join(ground.dir, 'homes', `${of.name}-${index}`)
    url.pathname = `/${of.name.replaceAll('-', '_')}_${index}`
    const contender = make({ source: of.source, target: url.href, home })
    return { ...contender, target: url.href, database: url.pathname.slice(1), home }
  })
  const own = (contender: Contender) => contender as (typeof contenders)[number]
  return {
    ...of,
    servers: [ground.mariadb.pid, ground.postgres.pid],
    contenders: contenders.map(contender => ({
      ...contender,
      prepare: async () => {
        fresh(contender.home)
        await createPostgres(ground.postgres, contender.database)
        await contender.prepare?.()
      },
    })),
    expected: () => sumOfTable(ground.postgres.source),
    result: contender => sumOfTable(own(contender).target),
    clear: contender => drop(ground, own(contender).database),
  }
}

/** A first copy into Parquet files in an empty folder. */
function intoParquet(
  ground: Ground,
  of: { name: string; title: string; source: string; reference: string },
  makes: Make[],
): Race {
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

/** A night on which one row of a thousand changed, of them a tenth new and a tenth gone; the first night is not measured. */
async function night(ground: Ground): Promise<Race> {
  const name = 'night'
  const source = await createPostgres(ground.postgres, 'night_source')
  await fillPostgres(source, ground.files)
  const makes = [tools.stream, tools.copyAndMerge, tools.nightfreight, tools.sling]
  const contenders: (Contender & { target: string })[] = []
  for (const [index, make] of makes.entries()) {
    const home = join(ground.dir, 'homes', `${name}-${index}`)
    fresh(home)
    const target = await createPostgres(ground.postgres, `night_${index}`)
    const contender = { ...make({ source, target, home }), target }
    if (contender.tool.startsWith('sling')) contender.note = 'loads the whole table anew'
    contenders.push(contender)
  }
  const own = (contender: Contender) => contender as (typeof contenders)[number]
  return {
    name,
    title: 'A later night, Postgres to Postgres: one row of a thousand changed, came or went',
    reference: 'bare stream',
    servers: [ground.postgres.pid],
    contenders,
    async before(contender) {
      if (contender.tool === 'bare stream') return
      await contender.prepare?.()
      await measured(contender.command, contender.env, [])
    },
    round: number => change(source, number),
    expected: () => sumOfTable(source),
    result: async contender =>
      contender.tool === 'bare stream' ? undefined : sumOfTable(own(contender).target),
  }
}

async function change(source: string, number: number): Promise<void> {
  const pick = 'hashint8(l_orderkey * 7 + l_linenumber) & 1023'
  const columns = Object.keys(COLUMNS)
  await sql(
    source,
    `UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE ${pick} = ${number};
     INSERT INTO lineitem (${columns.join(', ')}) SELECT l_orderkey + 1000000000 * ${number + 1}::bigint, ${columns.slice(1).join(', ')}
       FROM lineitem WHERE ${pick} = ${number + 100} AND l_orderkey < 1000000000 AND l_orderkey % 10 = 1;
     DELETE FROM lineitem WHERE ${pick} = ${number + 200} AND l_orderkey % 10 = 2`,
  )
  await sql(source, 'VACUUM ANALYZE lineitem')
}

/** By name, in the order of the report. */
export const WORKLOADS: Record<string, (ground: Ground) => Promise<Race>> = {
  'mariadb-postgres': ground =>
    intoPostgres(
      ground,
      {
        name: 'mariadb-postgres',
        title: 'MariaDB to Postgres, a first copy with its key',
        source: ground.mariadb.source,
        reference: 'bare pipe',
      },
      [tools.pipe, tools.nightfreight, tools.sling, tools.pgloader, tools.dlt, tools.duckdb],
    ),
  night,
  'postgres-parquet': async ground =>
    intoParquet(
      ground,
      {
        name: 'postgres-parquet',
        title: 'Postgres to Parquet, zstd',
        source: ground.postgres.source,
        reference: 'bare stream',
      },
      [tools.stream, tools.nightfreight, tools.connectorx, tools.duckdb, tools.sling, tools.dlt],
    ),
  'mariadb-parquet': async ground =>
    intoParquet(
      ground,
      {
        name: 'mariadb-parquet',
        title: 'MariaDB to Parquet, zstd',
        source: ground.mariadb.source,
        reference: 'connectorx 0.4.6',
      },
      [tools.nightfreight, tools.connectorx, tools.duckdb, tools.sling, tools.dlt],
    ),
  'parquet-postgres': ground =>
    intoPostgres(
      ground,
      {
        name: 'parquet-postgres',
        title: 'A Parquet file to Postgres, with its key',
        source: ground.files.parquet,
        reference: 'duckdb 1.5.5',
      },
      [tools.nightfreight, tools.duckdb, tools.sling, tools.dlt],
    ),
  queries,
}
