import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { smallJob } from '../jobs/small.ts'
import { type FreshDatabase, freshMariadb } from '../servers.ts'
import { CASES } from './mysqlTypes.ts'
import { sameFamilyNights } from './sameFamily.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 200)

// A zero date has no logical type of a date: such columns have a policy, and tests of their own. No load writes a year 0.
const TYPES = CASES.filter(({ policy, native }) => !policy && !/geometry|point/.test(native)).map(of => ({
  ...of,
  extremes: (of.extremes ?? []).map(value => value.replace(/^'0000-/, "'0001-")),
}))
const most = Math.max(...TYPES.map(({ extremes }) => extremes.length))

async function fill({ query }: FreshDatabase): Promise<void> {
  await query(`SET time_zone = '+00:00', sql_mode = ''`)
  const columns = TYPES.map(({ native }, index) => `c${index} ${native}`)
  await query(`CREATE TABLE kinds (id int PRIMARY KEY, ${columns.join(', ')}) CHARSET utf8mb4 ENGINE = Aria`)
  for (let row = 0; row < most; row++)
    await query(
      `INSERT INTO kinds VALUES (${row}, ${TYPES.map(({ extremes }) => extremes[row] ?? 'NULL').join(', ')})`,
    )
  await query(
    `INSERT INTO kinds SELECT ${most} + seq, ${TYPES.map(({ random }) => random).join(', ')} FROM seq_0_to_${ROWS}`,
  )
}

const rows = async ({ query }: FreshDatabase) => {
  await query(`SET time_zone = '+00:00'`)
  const texts = TYPES.map((_, index) => `coalesce(hex(CAST(c${index} AS CHAR)), '~')`)
  return query<{ id: number; text: string }>(
    `SELECT id, concat_ws(',', ${texts.join(', ')}) AS text FROM kinds ORDER BY id`,
  )
}

const shapes = ({ query, name }: FreshDatabase) =>
  query(
    `SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_default AS fallback, collation_name AS collation
       FROM information_schema.columns WHERE table_schema = '${name}' AND table_name = 'kinds' ORDER BY ordinal_position`,
  )

test('a table goes from MariaDB to MariaDB with its own types, every value as the server writes it', async () => {
  const [source, target] = [await freshMariadb(), await freshMariadb()]
  await fill(source)
  const night = await sameFamilyNights('same_mariadb', source, target, rows)
  assert.deepEqual(await night(), { inserted: most + ROWS + 1, updated: 0, deleted: 0 })
  assert.deepEqual(await shapes(target), await shapes(source))
  for (const [index, { random }] of TYPES.entries())
    await source.query(
      `UPDATE kinds, (SELECT ${random} AS v FROM seq_7_to_7) AS r SET c${index} = r.v WHERE id = ${most + index}`,
    )
  await source.query('DELETE FROM kinds WHERE id < 2')
  const { updated, ...others } = await night()
  assert.ok(updated > TYPES.length * 0.7, `${updated} updated`)
  assert.deepEqual(others, { inserted: 0, deleted: 2 })
})

test('constants, NOT NULL and character sets go along', async () => {
  const [source, target] = [await freshMariadb(), await freshMariadb()]
  await source.query(`CREATE TABLE kinds (id int PRIMARY KEY, v varchar(5) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'x''y',
      n decimal(65,30) DEFAULT 1.5, e enum('b', 'a') NOT NULL DEFAULT 'a', at timestamp(3) NULL DEFAULT current_timestamp(3),
      b bit(3) NOT NULL DEFAULT b'101', u uuid DEFAULT uuid());
    INSERT INTO kinds (id, v) VALUES (1, 'ä')`)
  const job = await smallJob({ after }, 'same_constants', {
    'job.yaml': `connections: { s: "${source.url}", w: "${target.url}" }
extract: { kinds: { from: s, table: kinds } }
load: { kinds: { to: w, from: kinds, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.equal((await job.run()).error, undefined)
  const wanted = (await shapes(source)).map(column =>
    /\(/.test(String(column.fallback)) ? { ...column, fallback: 'NULL' } : column,
  )
  assert.deepEqual(await shapes(target), wanted)
})
