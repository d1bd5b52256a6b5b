/**
 * Every type of Postgres and of MariaDB into Postgres, MariaDB, DuckDB and a lake, and out of the lake again: each value is compared by
 * the text that its own server has of it. 10,000 random values a type; SOAK_ROWS asks for more, SOAK_SEED for others.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type SmallJob, smallJob } from '../jobs/small.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { bracesOfJson } from './braces.ts'
import { DUCK_TYPES } from './postgres/duckTypes.ts'
import { mariadbTable, postgresTable, type Texts, type TypeTable } from './typeTables.ts'
import { duckTexts, mariadbTexts, postgresTexts } from './typeTexts.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 10_000)
/** Rows that go back from the lake. */
const BACK = process.env.SOAK_ROWS ? ROWS : 1_000
/** Rows of a table: what is asked beyond comes in rounds. */
const ROUND = Math.min(ROWS, 50_000)
const SEED = Number(process.env.SOAK_SEED ?? 1)

const postgres = await freshPostgres()
const mariadb = await freshMariadb()
const TARGETS = { p: postgres.url, m: mariadb.url, d: 'duckdb:w.duckdb', l: 'lake:lake' }
type TargetName = keyof typeof TARGETS
const connections = Object.entries(TARGETS).map(([name, url]) => `${name}: "${url}"`)

/** The job that loads the rows of a table, or of its table in the lake, that `where` tells. */
const yaml = (
  family: TypeTable['family'],
  { from = family[0], where = '', of = 'kinds', into = 'in', to = 'pmdl', more = '' },
) =>
  `connections: { ${connections.join(', ')} }
extract: { kinds: { from: ${from}, table: ${of}${where && `, where: "${where}"`} } }
load:
${Array.from(to, name => `  ${into}_${family}_${name}: { to: ${name}, from: kinds, key: id, deletes: hard, guard: { max_delete_share: 1 }${more} }`).join('\n')}
quality: { max_error_rate: 1 }
resources: { memory: 1GB, threads: 1 }
`

/** What a system holds, lists and structs as Postgres writes them. */
async function held(
  job: SmallJob,
  { family, types }: TypeTable,
  target: TargetName,
  into = 'in',
): Promise<Texts> {
  const table = `${into}_${family}_${target}`
  const texts =
    target === 'p'
      ? await postgresTexts(postgres, table)
      : target === 'm'
        ? await mariadbTexts(mariadb, table)
        : await duckTexts(join(job.folder, 'w.duckdb'), table)
  if (family === 'postgres')
    for (const values of texts.values())
      for (const [at, type] of types.entries())
        if (NESTED.test(type)) values[at] = bracesOfJson(values[at]!, type)
  return texts
}
const NESTED = /\]$|^(pair|outer_pair|spoken|feelings)$/

/** How many rows are the same in DuckDB and in the lake, by DuckDB's own text of its types. */
async function alike(
  job: SmallJob,
  family: TypeTable['family'],
  into = 'in',
): Promise<{ types: unknown[]; rows: unknown }> {
  const [inDuck, inLake] = [`${into}_${family}_d`, `${into}_${family}_l`]
  const duck = await Duck.open({ path: join(job.folder, 'w.duckdb') })
  try {
    await duck.run(readFileSync(join(job.folder, `lake/${inLake}/_current.sql`), 'utf8'))
    const columns = await duck.rows(`DESCRIBE ${inDuck}`)
    const same = columns.map(
      ({ column_name: name, column_type: type }) =>
        `l.${name}::${type}::VARCHAR IS NOT DISTINCT FROM d.${name}::VARCHAR`,
    )
    const [row] = await duck.rows(
      `SELECT count(*)::INT AS rows FROM ${inDuck} AS d JOIN ${inLake} AS l USING (id) WHERE ${same.join(' AND ')}`,
    )
    return { types: columns.map(({ column_type: type }) => type), rows: row!.rows }
  } finally {
    duck.close()
  }
}

/** Lists and spans that DuckDB reads none of: `duckTypes` has how they are refused. */
const BEYOND_DUCKDB = /^'(\[0:1\]|-?infinity)/

/** Edges that a system has no value for: their rows go to the quarantine. */
const REFUSED: Record<TypeTable['family'], Record<string, string[]>> = {
  postgres: {
    p: [],
    m: [
      ...['real', 'double precision'].flatMap(type =>
        ["'NaN'", "'Infinity'", "'-Infinity'"].map(literal => `${type} ${literal}`),
      ),
      "date '0001-12-31 BC'",
      "date '4714-11-24 BC'",
      "date '5874897-12-31'",
      "timestamp '0001-12-31 23:59:59.999999 BC'",
      "timestamp '4714-11-24 00:00 BC'",
      "timestamp '294247-01-10 04:00:54.775806'",
      "timestamp '294246-12-31 23:59:59.999999'",
      "timestamptz '4714-11-24 00:00+00 BC'",
      "timestamptz '294247-01-10 04:00:54.775806+00'",
    ],
    d: [],
  },
  mariadb: {
    p: [],
    m: ['date', 'datetime(0)', 'datetime(3)', 'datetime(6)'].map(
      type => `${type} '0000-01-01${type === 'date' ? '' : ' 00:00:00'}'`,
    ),
    d: [],
  },
}

for (const table of [postgresTable(postgres), mariadbTable(mariadb)]) {
  const { family, edges } = table
  const kin = family === 'postgres' ? 'p' : 'm'
  const other = family === 'postgres' ? 'm' : 'p'

  before(() => table.create())

  test(`every type of ${family} goes into every system, and back from the lake, as its server writes it`, async t => {
    const job = await smallJob(t, `types_of_${family}`, { 'job.yaml': yaml(family, { where: 'id >= 0' }) })
    const night = async () => {
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      for (const { wrong, notes } of outcome.verifications)
        assert.deepEqual({ wrong, notes }, { wrong: { rows: 0, ranges: 0 }, notes: [] })
      return outcome.loaded
    }
    const same = async (texts: Texts, rows: number) => {
      assert.equal(texts.size, rows + 1)
      assert.deepEqual(await table.differences(texts), [])
    }
    const arrived = async (target: TargetName) => {
      if (target !== kin || !table.changed) return same(await held(job, table, target), ROUND)
      const [found] = await table.database.query(`SELECT count(*) AS n FROM in_${family}_${kin}`)
      assert.equal(Number(found!.n), ROUND + 1)
      assert.deepEqual(await table.changed(`in_${family}_${kin}`), [])
    }
    for (let done = 0; done < ROWS; done += ROUND) {
      await table.fill(ROUND, SEED + done / ROUND)
      await night()
      for (const target of ['d', kin, other] as const) await arrived(target)
      const { types, rows } = await alike(job, family)
      assert.equal(rows, ROUND + 1)
      if (family === 'postgres')
        assert.deepEqual(
          types.slice(-DUCK_TYPES.length),
          DUCK_TYPES.map(([, type]) => type),
        )
      const few = Math.min(ROUND, BACK)
      const lake = `lake:${job.folder}/lake`
      const back = await smallJob(t, `types_back_to_${family}`, {
        'job.yaml': yaml(family, { from: 'l', of: `in_${family}_l`, into: 'back', to: kin })
          .replace('lake:lake', lake)
          .replace(' from: kinds,', ' from: few,'),
        'few.sql': `SELECT * FROM kinds WHERE id <= ${few}`,
      })
      assert.equal((await back.run()).error, undefined)
      await same(await held(back, table, kin, 'back'), few)
    }
    assert.deepEqual(await table.shapes(`in_${family}_${kin}`), table.expected(await table.shapes('kinds')))
    await table.change()
    for (const { inserted, updated, deleted } of await night()) {
      assert.deepEqual({ inserted, deleted }, { inserted: 0, deleted: 2 })
      assert.ok(updated > table.types.length * 0.6 && updated <= table.types.length, `${updated} updated`)
    }
  })

  test(`each edge of ${family}'s types is held by every system as its server writes it, or refused with its column`, async t => {
    const job = await smallJob(t, `edges_of_${family}`, {})
    const quarantine = ', on_bad_row: quarantine'
    const lists = edges.filter(({ literal }) => BEYOND_DUCKDB.test(literal)).map(({ id }) => id)
    const where = `id < 0 AND id NOT IN (${[0, ...lists].join(', ')})`
    for (const part of [
      { to: 'p', where: 'id < 0', more: quarantine },
      { to: 'md', where, more: quarantine },
      { to: 'l', where },
    ]) {
      job.yaml(yaml(family, { ...part, into: 'edge' }))
      assert.equal((await job.run()).error, undefined)
    }
    const records = await job.metadata.errors.list({ limit: 1000 })
    const refused: Record<string, string[]> = {}
    for (const target of ['p', 'm', 'd'] as const) {
      const texts = await held(job, table, target, 'edge')
      // MariaDB has no minus zero.
      const differences = (await table.differences(texts)).filter(
        difference => target !== 'm' || !difference.endsWith(': 0 instead of -0'),
      )
      assert.deepEqual(differences, [], target)
      const missing = edges.filter(({ id }) => !texts.has(id) && (target === 'p' || !lists.includes(id)))
      for (const { id, column } of missing)
        assert.ok(
          records.some(({ record, reason }) => record.id === String(id) && reason.startsWith(`c${column}: `)),
          `${target} ${table.types[column]} ${id}`,
        )
      refused[target] = missing.map(({ column, literal }) => `${table.types[column]} ${literal}`)
    }
    assert.deepEqual(refused, REFUSED[family])
    assert.equal((await alike(job, family, 'edge')).rows, edges.length - lists.length - refused.d!.length)
  })
}
