import { join } from 'node:path'
import { createDatabase as createMariadb } from '../../src/demo/servers/mariadb.ts'
import { createDatabase as createPostgres } from '../../src/demo/servers/postgres.ts'
import type { Contender, Place } from './contenders.ts'
import * as tools from './contenders.ts'
import { COLUMNS, fillMariadb, fillPostgres, mariadbSql, sql, sumOfTable } from './data.ts'
import { fresh, type Ground } from './ground.ts'
import { measured } from './measure.ts'
import type { Race } from './race.ts'

interface Night {
  name: string
  title: string
  source: string
  /** Postgres with the rows of the source. */
  twin: string
  /** It may leave nothing to compare: a stream to nowhere. */
  reference: string
  servers: number[]
  change(statements: string[]): Promise<void>
}

/** One row of a thousand changed, of them a tenth new and a tenth gone; the first night is not measured. */
export async function night(ground: Ground): Promise<Race> {
  const source = await createPostgres(ground.postgres, 'night_source')
  await fillPostgres(source, ground.files)
  return laterNight(
    ground,
    {
      name: 'night',
      title: 'A later night, Postgres to Postgres: one row of a thousand changed, came or went',
      source,
      twin: source,
      reference: 'bare stream',
      servers: [ground.postgres.pid],
      change: statements => inPostgres(source, statements),
    },
    [tools.stream, tools.copyAndMerge, tools.nightfreight, tools.sling],
  )
}

/** The same from MariaDB, beside those that load the whole table anew. */
export async function replace(ground: Ground): Promise<Race> {
  const source = await createMariadb(ground.mariadb, 'replace_source')
  await fillMariadb(source, ground.files)
  const twin = await createPostgres(ground.postgres, 'replace_twin')
  await fillPostgres(twin, ground.files)
  return laterNight(
    ground,
    {
      name: 'replace',
      title: 'A later night, MariaDB to Postgres: one row of a thousand changed, came or went',
      source,
      twin,
      reference: 'bare pipe',
      servers: [ground.mariadb.pid, ground.postgres.pid],
      change: async statements => {
        await mariadbSql(source, [...statements, 'ANALYZE TABLE lineitem'].join(';'))
        await inPostgres(twin, statements)
      },
    },
    [tools.pipe, tools.nightfreight, tools.sling, tools.pgloader, tools.dlt, tools.duckdb],
  )
}

async function inPostgres(url: string, statements: string[]): Promise<void> {
  await sql(url, statements.join(';'))
  await sql(url, 'VACUUM ANALYZE lineitem')
}

async function laterNight(ground: Ground, of: Night, makes: ((place: Place) => Contender)[]): Promise<Race> {
  const { name, title, source, reference, servers } = of
  const contenders: (Contender & { target: string })[] = []
  for (const [index, make] of makes.entries()) {
    const home = join(ground.dir, 'homes', `${name}-${index}`)
    fresh(home)
    const target = await createPostgres(ground.postgres, `${name}_${index}`)
    const contender = { ...make({ source, target, home, over: 'own' }), target }
    if (/^(sling|dlt|duckdb|pgloader)/.test(contender.tool)) contender.note = 'loads the whole table anew'
    contenders.push(contender)
  }
  const own = (contender: Contender) => contender as (typeof contenders)[number]
  const leaves = (contender: Contender) => contender.tool !== 'bare stream'
  return {
    name,
    title,
    reference,
    servers,
    contenders,
    async before(contender) {
      if (!leaves(contender)) return
      await contender.prepare?.()
      await measured(contender.command, contender.env, [])
    },
    round: number => of.change(changes(number)),
    expected: () => sumOfTable(of.twin),
    result: async contender => (leaves(contender) ? sumOfTable(own(contender).target) : undefined),
  }
}

/** What happens before a night, in words that both servers know. */
function changes(number: number): string[] {
  const pick = '(l_orderkey * 7 + l_linenumber) % 1009'
  const [key, ...rest] = Object.keys(COLUMNS)
  const first = 1_000_000_000
  return [
    `UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE ${pick} = ${number}`,
    `INSERT INTO lineitem (${key}, ${rest.join(', ')}) SELECT ${key} + ${first * (number + 1)}, ${rest.join(', ')}
       FROM lineitem WHERE ${pick} = ${number + 100} AND ${key} < ${first} AND l_partkey % 10 = 1`,
    `DELETE FROM lineitem WHERE ${pick} = ${number + 200} AND l_partkey % 10 = 2`,
  ]
}
