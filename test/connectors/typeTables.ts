/** A table of every type in Postgres and in MariaDB, and the comparison of what another system holds of it, by the table's own server. */
import assert from 'node:assert/strict'
import type { FreshDatabase, Row } from '../servers.ts'
import { CASES } from './mysqlTypes.ts'
import { DUCK_TYPES } from './postgres/duckTypes.ts'
import { EVERY_TYPE, SETUP } from './postgres/everyType.ts'

/** A value as its server writes it; moments with or without `+00`, bytes as `\x` and hexadecimal digits. */
export type Text = string | null
/** A table's rows by their id. */
export type Texts = Map<number, Text[]>

/** The table `kinds` with one column a type: `c0`, `c1`, … */
export interface TypeTable {
  family: 'postgres' | 'mariadb'
  database: FreshDatabase
  types: string[]
  /** Values at the edges: each is alone in a row, from id -1 down. */
  edges: { id: number; column: number; literal: string }[]
  create(): Promise<void>
  /** Random values from id 1 on. */
  fill(rows: number, seed: number): Promise<void>
  /** Gives another value to column n of row n + 1, and takes two rows away. */
  change(): Promise<void>
  /** The columns of a table of the same server; `expected`: of one that is made after `kinds`. */
  shapes(table: string): Promise<Row[]>
  expected(shapes: Row[]): Row[]
  /** What the server has, where a text is not its value: some, as `id column: text instead of text`. */
  differences(held: Texts): Promise<string[]>
  /** The same of another table of the server, compared there, where that costs less; its rows are not counted. */
  changed?(name: string): Promise<string[]>
}

const edgesOf = (edges: (string[] | undefined)[]) =>
  edges
    .flatMap((literals, column) => (literals ?? []).map(literal => ({ column, literal })))
    .map((edge, index) => ({ id: -1 - index, ...edge }))

const insertEdges = (edges: TypeTable['edges']) =>
  edges
    .map(({ id, column, literal }) => `INSERT INTO kinds (id, c${column}) VALUES (${id}, ${literal});`)
    .join('\n')

// Two dimensions in a column that was declared with one, and infinite days: DuckDB refuses each row. DUCK_TYPES has others.
const BEYOND_DUCKDB = /^(text|timestamptz)\[\]$/
/** What another database may not have. */
const NAMES = /^reg|^aclitem/
/** MariaDB holds no day that is far away: such columns have near ones, and theirs as edges. */
const FAR = '4714-11-24 BC'
const nearOf = (name: string) =>
  EVERY_TYPE.find(({ type, random }) => type === name && !random.includes(FAR))!.random

/** `only`: of the types at this place in the list alone. */
export function postgresTable(database: FreshDatabase, only?: number): TypeTable {
  const every = [
    ...EVERY_TYPE.filter(({ type }) => !BEYOND_DUCKDB.test(type) && !NAMES.test(type)).map(of =>
      of.random.includes(FAR) ? { ...of, random: nearOf(of.type) } : of,
    ),
    ...DUCK_TYPES.map(([type, , random]) => ({ type, random, edges: undefined })),
  ]
  const cases = only === undefined ? every : [every[only]!]
  const types = cases.map(({ type }) => type)
  const edges = edgesOf(cases.map(of => of.edges))
  const { query } = database
  /** What the server writes, column by column; anew once rows change. */
  let texts: { id: number; own: Text }[][] = []
  return {
    family: 'postgres',
    database,
    types,
    edges,
    async create() {
      await query(`${SETUP}; SET TimeZone = 'UTC'; CREATE TABLE kinds (id int PRIMARY KEY, ${types.map((type, at) => `c${at} ${type}`).join(', ')});
        ${insertEdges(edges)} INSERT INTO kinds VALUES (0)`)
    },
    async fill(rows, seed) {
      texts = []
      const values = cases.map(({ random }) => `CASE WHEN random() < 0.05 THEN NULL ELSE ${random} END`)
      await query(`DELETE FROM kinds WHERE id > 0; SELECT setseed(1 / ${seed}::float8);
        INSERT INTO kinds SELECT n, ${values.join(', ')} FROM generate_series(1, ${rows}) AS n`)
    },
    async change() {
      texts = []
      for (const [at, { random }] of cases.entries())
        await query(`UPDATE kinds SET c${at} = ${random} WHERE id = ${at + 1}`)
      await query(`DELETE FROM kinds WHERE id > (SELECT max(id) FROM kinds) - 2`)
    },
    shapes: name =>
      query(
        `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required FROM pg_attribute
          WHERE attrelid = '${name}'::regclass AND attnum > 0 ORDER BY attnum`,
      ),
    expected: shapes => shapes.map(shape => ({ ...shape, type: DOMAINS[String(shape.type)] ?? shape.type })),
    async differences(held) {
      const wrong: Row[] = []
      for (const [at, type] of types.entries()) {
        texts[at] ??= await query(`SELECT id, ${textOf(`c${at}`)} AS own FROM kinds`)
        // What is written as the server writes it is the same; of other texts the server says what they mean.
        const others = texts[at]
          .filter(({ id, own }) => held.has(id) && held.get(id)![at] !== own)
          .map(({ id }) => id)
        if (others.length === 0) continue
        // A cast would give a char(n) its blanks back.
        const back = /^(char\(\d\)|padded)$/.test(type) ? 'v' : `format('%s', v::${type})`
        wrong.push(
          ...(await query(
            `SELECT id, $3::text AS type, own, back FROM kinds JOIN unnest($1::int[], $2::text[]) AS held(id, v) USING (id)
              CROSS JOIN LATERAL (SELECT ${textOf(`c${at}`)} AS own, CASE num_nulls(v) WHEN 0 THEN ${back} END AS back) AS texts
              WHERE own IS DISTINCT FROM back LIMIT 10`,
            [others, others.map(id => held.get(id)![at]), type],
          )),
        )
      }
      return wrong.map(told)
    },
    async changed(name) {
      const pairs = types.map(
        (type, at) => `('${type.replaceAll("'", "''")}', ${textOf(`k.c${at}`)}, ${textOf(`h.c${at}`)})`,
      )
      const [ours, theirs] = ['k', 'h'].map(of =>
        types.map((type, at) => `${of}.c${at}${DOMAINS[type] ? `::${DOMAINS[type]}` : ''}`).join(', '),
      )
      // What is the same bit for bit has the same text.
      const wrong = await query(
        `SELECT id, type, own, back FROM kinds AS k JOIN ${name} AS h USING (id) CROSS JOIN LATERAL (VALUES ${pairs.join(', ')}) AS v(type, own, back)
          WHERE record_image_ne(ROW(${ours}), ROW(${theirs})) AND own IS DISTINCT FROM back LIMIT 10`,
      )
      return wrong.map(told)
    },
  }
}

const told = ({ id, type, own, back }: Row) => `${id} ${type}: ${back} instead of ${own}`

const DOMAINS: Record<string, string> = {
  positive: 'numeric(12,3)',
  feeling: 'mood',
  feelings: 'feeling[]',
  padded: 'character(7)',
}

/** A composite of NULLs is NULL for `IS NULL`. */
const textOf = (column: string) => `CASE num_nulls(${column}) WHEN 0 THEN format('%s', ${column}) END`

export function mariadbTable(database: FreshDatabase, only?: number): TypeTable {
  const every = CASES.filter(({ policy }) => !policy)
  const cases = only === undefined ? every : [every[only]!]
  const types = cases.map(({ native }) => native)
  const edges = edgesOf(cases.map(({ extremes }) => extremes))
  const { query } = database
  return {
    family: 'mariadb',
    database,
    types,
    edges,
    async create() {
      await query(`SET time_zone = '+00:00', sql_mode = '';
        CREATE TABLE kinds (id int PRIMARY KEY, ${types.map((type, at) => `c${at} ${type}`).join(', ')}) CHARSET utf8mb4;
        ${insertEdges(edges)} INSERT INTO kinds (id) VALUES (0)`)
    },
    async fill(rows, seed) {
      const values = cases.map(
        ({ random }, at) =>
          `if(seq mod 20 = ${at % 20}, NULL, ${random.replaceAll(/rand\((\d)\)/g, `rand($1 + ${seed} + ${at * 10})`)})`,
      )
      await query(
        `DELETE FROM kinds WHERE id > 0; INSERT INTO kinds SELECT seq, ${values.join(', ')} FROM seq_1_to_${rows}`,
      )
    },
    async change() {
      for (const [at, { random }] of cases.entries())
        await query(
          `UPDATE kinds, (SELECT ${random} AS v FROM seq_7_to_7) AS r SET c${at} = r.v WHERE id = ${at + 1}`,
        )
      await query('DELETE FROM kinds ORDER BY id DESC LIMIT 2')
    },
    shapes: name =>
      query(
        `SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_default AS fallback, collation_name AS collation
          FROM information_schema.columns WHERE table_schema = '${database.name}' AND table_name = '${name}' ORDER BY ordinal_position`,
      ),
    // What a geometry's spatial reference is, is not read.
    expected: shapes =>
      shapes.map(shape =>
        /^(point|geometry)$/.test(String(shape.type)) ? { ...shape, type: 'longblob' } : shape,
      ),
    async differences(held) {
      const wrong: string[] = []
      for (const [column, { native, logical, text = 'v', random }] of cases.entries()) {
        const own = native === 'json' ? `c${column}` : text.replaceAll(/\bv\b/g, `c${column}`)
        const rows = await query<{ id: number; v: Text }>(
          `SELECT id, hex(convert(${own} using utf8mb4)) AS v FROM kinds`,
        )
        let [nulls, left] = [0, 3]
        for (const { id, v } of rows) {
          if (v === null && id > 0) nulls++
          const values = held.get(id)
          if (!values || left === 0) continue
          const [wanted, found] = [fromHex(v), values[column]!].map(value => plain(value, logical))
          if (wanted === found) continue
          left--
          wrong.push(`${id} ${native}: ${found} instead of ${wanted}`)
        }
        assert.ok(nulls * 10 < rows.length, `${native}: the server makes nothing of ${random}`)
      }
      return wrong
    },
  }
}

/** One text of all servers' texts of a value. */
function plain(text: Text, logical: string): Text {
  if (text === null) return null
  if (logical === 'FLOAT') return String(Math.fround(Number(text)) + 0)
  if (logical === 'DOUBLE') return String(Number(text) + 0)
  if (logical === 'BLOB') return text.replace(/^\\x/, '')
  if (!/^(TIMESTAMP|DATE)/.test(logical)) return text
  return text
    .replace(/\+00$/, '')
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '')
    .replace(/^0000(.*)$/, '0001$1 BC')
}

const fromHex = (text: Text) => (text === null ? null : Buffer.from(text, 'hex').toString('utf8'))
