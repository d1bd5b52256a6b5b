import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import { paymentFeed } from '../../src/demo/sample/payment.ts'

type Query = (sql: string, params?: unknown[]) => Promise<unknown>

const COLUMNS = `member_id, first_name, last_name, email, phone_e164, address_line1, city, region, postal_code, country,
  membership_status, membership_type, birth_date, join_date, end_date, tenure_months, lifetime_value, payments_count,
  quality_flags, created_at, updated_at`
const PAYMENT_COLUMNS = 'payment_id, member_id, amount, currency, method, status, paid_at, updated_at'

const SOURCES = `CREATE SCHEMA IF NOT EXISTS oracle;
  DROP TABLE IF EXISTS oracle.members, oracle.payments, oracle.corrections CASCADE;
  CREATE TABLE oracle.members (member_id bigint, first_name text, last_name text, email text, phone text,
    address_line1 text, city text, region text, postal_code text, country text, membership_status text,
    membership_type text, birth_date date, join_date date, end_date date, monthly_fee numeric(10,2),
    created_at timestamp, updated_at timestamptz);
  CREATE TABLE oracle.payments (payment_id text, member_id bigint, amount numeric(12,2), currency text, method text,
    status text, paid_at timestamptz, updated_at timestamptz);
  CREATE TABLE oracle.corrections (member_id bigint, address_line1 text, city text, region text, postal_code text,
    country text, corrected_at timestamptz);`

export interface OracleSources {
  /** MariaDB with `members`. */
  legacyUrl: string
  /** Queries the CRM database, where `contacts` lives and the copies go. */
  query: Query
  /** Members and seed of the payment feed, and which night's feed it is. */
  feed: [members: number, seed: number, night: 1 | 2]
  corrections: Record<string, string | null>[]
  runAt: string
}

/**
 * Copies the sources as they are now, and merges them into the oracle's own tables: what is older than the table's row
 * is left alone, what is as old and differs (a month of membership has passed, a correction was made) is not.
 */
export async function oracleNight({ legacyUrl, query, feed, corrections, runAt }: OracleSources) {
  await query(SOURCES)
  await insert(query, 'members', await membersOf(legacyUrl))
  const { count, at } = paymentFeed(...feed)
  await insert(
    query,
    'payments',
    Array.from({ length: count }, (_, position) => at(position)),
  )
  await insert(query, 'corrections', corrections)
  const script = readFileSync(join(import.meta.dirname, 'oracle.sql'), 'utf8')
  await query(script.replaceAll(':run_at', `'${runAt.slice(0, 10)}'`))
  return {
    dim_members: await merge(
      query,
      'dim_members',
      `(SELECT * FROM oracle.judged WHERE NOT bad)`,
      'member_id',
      COLUMNS,
      'created_at',
    ),
    fact_payments: await merge(query, 'fact_payments', 'oracle.last_payment', 'payment_id', PAYMENT_COLUMNS),
    rejected: Number(
      ((await query('SELECT count(*) AS n FROM oracle.judged WHERE bad')) as { n: string }[])[0]!.n,
    ),
  }
}

/** Every value as text, by key. */
export const DIM_TEXT = `SELECT ${COLUMNS} FROM :schema.dim_members ORDER BY member_id`
export const FACT_TEXT = `SELECT ${PAYMENT_COLUMNS} FROM :schema.fact_payments ORDER BY payment_id COLLATE "C"`

async function merge(
  query: Query,
  table: string,
  source: string,
  key: string,
  columns: string,
  insertOnly = key,
) {
  const names = columns.split(',').map(name => name.trim())
  const taken = names.filter(name => name !== key && name !== insertOnly)
  const set = taken.map(name => `${name} = s.${name}`)
  const row = (alias: string) => `(${taken.map(name => `${alias}.${name}`).join(', ')})`
  const rows = (await query(`WITH merged AS (
    MERGE INTO oracle.${table} AS t USING ${source} AS s ON t.${key} = s.${key}
    WHEN MATCHED AND s.updated_at >= t.updated_at AND ${row('t')} IS DISTINCT FROM ${row('s')} THEN UPDATE SET ${set.join(', ')}
    WHEN NOT MATCHED THEN INSERT (${columns}) VALUES (${names.map(name => `s.${name}`).join(', ')})
    RETURNING merge_action() AS action
  ) SELECT count(*) FILTER (WHERE action = 'INSERT') AS inserted, count(*) FILTER (WHERE action = 'UPDATE') AS updated FROM merged`)) as {
    inserted: string
    updated: string
  }[]
  return { inserted: Number(rows[0]!.inserted), updated: Number(rows[0]!.updated) }
}

// JSON is only the vehicle: every value is the text that the source itself gives.
async function insert(query: Query, table: string, rows: object[]): Promise<void> {
  await query(
    `INSERT INTO oracle.${table} SELECT * FROM json_populate_recordset(NULL::oracle.${table}, $1)`,
    [JSON.stringify(rows)],
  )
}

async function membersOf(url: string): Promise<object[]> {
  const connection = await mysql.createConnection({ uri: url, dateStrings: true, timezone: 'Z' })
  await connection.query("SET time_zone = '+00:00'")
  const date = (name: string) => `nullif(CAST(${name} AS CHAR), '0000-00-00') AS ${name}`
  const [rows] = await connection.query(
    `SELECT CAST(member_id AS CHAR) AS member_id, first_name, last_name, email, phone, address_line1, city, region,
       postal_code, country, membership_status, membership_type, ${date('birth_date')}, ${date('join_date')},
       ${date('end_date')}, CAST(monthly_fee AS CHAR) AS monthly_fee, CAST(created_at AS CHAR) AS created_at,
       concat(updated_at, '+00') AS updated_at FROM members`,
  )
  await connection.end()
  return rows as object[]
}
