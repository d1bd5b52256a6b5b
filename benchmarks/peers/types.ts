import { join } from 'node:path'
import { mariadbTable, postgresTable, type Texts, type TypeTable } from '../../test/connectors/typeTables.ts'
import { postgresTexts } from '../../test/connectors/typeTexts.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../../test/servers.ts'
import { cleanUps } from '../measure.ts'
import * as tools from './contenders.ts'
import { fresh, type Ground } from './ground.ts'
import { measured } from './measure.ts'
import { masked } from './race.ts'

/** What a tool makes of a type: `exact`, `wrong: …` where it ends well with other values, `refused: …` where it fails and says so. */
export interface Kept {
  family: TypeTable['family']
  type: string
  /** By tool. */
  outcomes: Record<string, string>
}

/** Random values of a type, beside those at its edges. */
const VALUES = 200

/** Every type of Postgres and of MariaDB, each in a table of its own, into Postgres; compared by the text that the source's server has of each value. */
export async function types(ground: Ground): Promise<Kept[]> {
  // The databases are made by what makes them for the tests.
  process.env.TEST_POSTGRES_URL = ground.postgres.url
  process.env.TEST_MARIADB_URL = ground.mariadb.url
  return [
    ...(await family(ground, 'postgres', [tools.nightfreight, tools.sling, tools.dlt, tools.duckdb])),
    ...(await family(ground, 'mariadb', [
      tools.nightfreight,
      tools.sling,
      tools.pgloader,
      tools.dlt,
      tools.duckdb,
    ])),
  ]
}

async function family(
  ground: Ground,
  of: TypeTable['family'],
  makes: ((place: tools.Place) => tools.Contender)[],
): Promise<Kept[]> {
  const [tableOf, freshSource] =
    of === 'postgres' ? [postgresTable, freshPostgres] : [mariadbTable, freshMariadb]
  const types = tableOf(NOWHERE).types
  const kept: Kept[] = []
  for (const [at, type] of types.entries()) {
    const clean = cleanUps()
    try {
      const source = await freshSource(clean)
      const table = tableOf(source, at)
      await table.create()
      await table.fill(VALUES, 1)
      const outcomes: Kept['outcomes'] = {}
      for (const make of makes) {
        const target = await freshPostgres(clean)
        const home = join(ground.dir, 'homes', 'types')
        fresh(home)
        const contender = make({
          source: source.url,
          target: target.url,
          home,
          table: { name: 'kinds', key: ['id'] },
        })
        await contender.prepare?.()
        outcomes[contender.tool] = await outcomeOf(contender, table, target)
      }
      kept.push({ family: of, type, outcomes })
      console.error(`types: ${of} ${type}: ${JSON.stringify(outcomes)}`)
    } finally {
      await clean.run()
    }
  }
  return kept
}

const NOWHERE: FreshDatabase = { url: '', name: '', query: async () => [] }

async function outcomeOf(
  contender: tools.Contender,
  table: TypeTable,
  target: FreshDatabase,
): Promise<string> {
  try {
    await measured(contender.command, contender.env, [])
  } catch (error) {
    return `refused: ${masked((error as Error).message, contender)}`
  }
  let held: Texts
  try {
    held = await postgresTexts(target, 'kinds')
  } catch {
    return 'wrong: no table, and it ended well'
  }
  const [{ n }] = (await table.database.query('SELECT count(*) AS n FROM kinds')) as [{ n: string }]
  if (held.size !== Number(n)) return `wrong: ${held.size} rows of ${n}`
  if ([...held.values()].some(texts => texts.length === 0)) return 'wrong: without the column'
  try {
    const [difference] = await table.differences(held)
    return difference === undefined ? 'exact' : `wrong: ${difference}`
  } catch (error) {
    return `wrong: no values of the type: ${(error as Error).message}`
  }
}
