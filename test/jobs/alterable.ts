/** Targets of every kind, whose rows a test alters behind the engine's back. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lakeKind } from '../connectors/everyMode.ts'
import { loadInto } from '../connectors/lakeNight.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

export const { url, query } = await freshPostgres()
export const mariadb = await freshMariadb()

/** One of every logical type; its values at the edges of what each can hold, and NULL in every column. */
const TYPES = `
  SELECT id, -- a comment
    CASE id % 8 WHEN 1 THEN true WHEN 2 THEN false END AS bool,
    CASE id % 8 WHEN 1 THEN -32768 WHEN 2 THEN 32767 END::SMALLINT AS small,
    CASE id % 8 WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 END::BIGINT AS big,
    CASE id % 8 WHEN 1 THEN 18446744073709551615 WHEN 2 THEN 0 END::UBIGINT AS ubig,
    CASE id % 8 WHEN 1 THEN 0.1 WHEN 2 THEN -3.4e38 WHEN 4 THEN 'nan'::FLOAT END::FLOAT AS single,
    CASE id % 8 WHEN 1 THEN 0.1 WHEN 2 THEN '-0.0'::DOUBLE WHEN 4 THEN 5e-324 WHEN 5 THEN 'infinity'::DOUBLE WHEN 6 THEN 'nan'::DOUBLE END::DOUBLE AS dbl,
    CASE id % 3 WHEN 1 THEN '0.0' WHEN 2 THEN '-0.0' ELSE '1.5' END::DOUBLE AS zero,
    CASE id % 8 WHEN 1 THEN -0.05 WHEN 2 THEN 99999999.99 WHEN 4 THEN 1.5 END::DECIMAL(10,2) AS price,
    CASE id % 8 WHEN 1 THEN 12345678901234567890123456789012345678 END::DECIMAL(38,0) AS wide,
    CASE id % 8 WHEN 1 THEN -0.05 WHEN 2 THEN 0 WHEN 4 THEN 0.99 END::DECIMAL(2,2) AS part,
    CASE id % 8 WHEN 1 THEN '' WHEN 2 THEN 'a|b' WHEN 4 THEN '~|' WHEN 5 THEN 'Ünï 🦆 e' || chr(769) WHEN 6 THEN repeat('x', 300) WHEN 7 THEN '  b ' END AS txt,
    CASE id % 8 WHEN 1 THEN '\\x00\\xFF|'::BLOB WHEN 2 THEN ''::BLOB END AS bin,
    CASE id % 8 WHEN 1 THEN DATE '0001-01-01' WHEN 2 THEN DATE '9999-12-31' WHEN 4 THEN DATE '1969-12-31' END AS day,
    CASE id % 8 WHEN 1 THEN TIME '00:00:00' WHEN 2 THEN TIME '23:59:59.999999' END AS clock,
    CASE id % 8 WHEN 1 THEN TIMESTAMP '0001-01-01 00:00:00.000001' WHEN 2 THEN TIMESTAMP '9999-12-31 23:59:59.999999' END AS wall,
    CASE id % 8 WHEN 1 THEN TIMESTAMPTZ '1969-12-31 23:59:59.999999+00' WHEN 2 THEN TIMESTAMPTZ '2026-03-29 01:00:00+02' END AS moment
  FROM ids`

function yaml(to: string, table: string, load = '') {
  return `connections: { here: "${url}", to: "${to}" }
extract: { ids: { from: here, table: ${table}, key: id } }
load: { ${table}_loaded: { to: to, from: out, key: id${load} } }
resources: { memory: 400MB, threads: 1 }
`
}

/** Values by column that differ from those of row 1, by a little where there is a little. */
const ALTERED: Record<string, string> = {
  bool: 'NOT bool',
  small: 'small + 1',
  big: 'big + 1',
  ubig: 'ubig - 1',
  single: `'NaN'`,
  dbl: '0.1000000000000000194',
  zero: '5e-324',
  price: 'price + 0.01',
  wide: 'wide - 1',
  part: 'part + 0.01',
  txt: `'a'`,
  bin: `'\\x00'`,
  day: `DATE '2026-01-01'`,
  clock: `TIME '00:00:00.000001'`,
  wall: `wall + INTERVAL '1 microsecond'`,
  moment: `moment + INTERVAL '1 microsecond'`,
}

interface Kind {
  name: string
  /** {@link TYPES} and {@link ALTERED} as the target can hold and write them. */
  types: string
  altered: Record<string, string>
  /** A job that loads `model` of the table's ids. */
  job(table: string, model: string, load?: string): Promise<SmallJob>
  /** Runs SQL in the target. */
  alter(job: SmallJob, sql: string): Promise<unknown>
}

export const kinds: Kind[] = [
  {
    name: 'postgres',
    types: TYPES,
    altered: ALTERED,
    job: (table, model, load) =>
      smallJob({ after }, table, { 'job.yaml': yaml(url, table, load), 'out.sql': model }),
    alter: (_, sql) => query(sql),
  },
  {
    name: 'duckdb',
    types: TYPES,
    altered: ALTERED,
    job: (table, model, load) =>
      smallJob({ after }, table, {
        'job.yaml': yaml('duckdb:warehouse.duckdb', table, load),
        'out.sql': model,
      }),
    async alter({ folder }, sql) {
      const duck = await Duck.open({ path: join(folder, 'warehouse.duckdb') })
      try {
        await duck.run(sql)
      } finally {
        duck.close()
      }
    },
  },
  {
    name: 'mysql',
    // No NaN and no infinity; instead the ends of what a double can hold, and powers of two and their neighbours.
    types: TYPES.replace(`WHEN 4 THEN 'nan'::FLOAT`, `WHEN 4 THEN 1.17549435e-38`)
      .replace(`'infinity'::DOUBLE`, '1.7976931348623157e308')
      .replace(`'nan'::DOUBLE`, '2.2250738585072014e-308')
      .replace(
        'END::DOUBLE AS dbl',
        'WHEN 7 THEN 2.0 ** (id - 60) * (1 - (id % 3 - 1) / 9007199254740992.0::DOUBLE) END::DOUBLE AS dbl',
      ),
    altered: {
      ...ALTERED,
      single: '0.10000001',
      bin: '0x00ff',
      wall: 'wall + INTERVAL 1 MICROSECOND',
      moment: 'moment + INTERVAL 1 MICROSECOND',
    },
    job: (table, model, load) =>
      smallJob({ after }, table, { 'job.yaml': yaml(mariadb.url, table, load), 'out.sql': model }),
    alter: (_, sql) => mariadb.query(sql),
  },
  {
    name: 'lake',
    types: TYPES,
    altered: ALTERED,
    job: (table, model, load) =>
      smallJob({ after }, table, { 'job.yaml': yaml('lake:lake', table, load), 'out.sql': model }),
    // Another job rewrites the table: a changed file would be found by its checksum.
    async alter({ folder }, sql) {
      const table = /\w+_loaded/.exec(sql)?.[0]
      if (!table) return
      const target = lakeKind.open(join(folder, 'lake'))
      const key = (await target.describe(table, new AbortController().signal))!.key
      const duck = await Duck.open({ path: join(folder, 'altered.duckdb') })
      try {
        await duck.run(readFileSync(join(folder, 'lake', table, '_current.sql'), 'utf8'))
        await duck.run(
          `CREATE OR REPLACE TABLE altered AS FROM ${table}; ${sql.replaceAll(table, 'altered')}`,
        )
        await loadInto(duck, folder, target, {
          loadId: String(Math.random()),
          spec: { table, mode: 'replace', key, whole: true },
          sql: 'FROM altered',
        })
      } finally {
        duck.close()
        await target.close()
      }
    },
  },
]

export const ids = (table: string, rows: number) =>
  query(`CREATE TABLE ${table} AS SELECT i AS id FROM generate_series(1, ${rows}) AS i`)
