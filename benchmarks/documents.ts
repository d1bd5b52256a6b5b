import type { FreshDatabase } from '../test/servers.ts'

/** Columns whose values differ in size: arrays, numerics, UUIDs and documents; what MariaDB has of them. */
const COLUMNS = {
  postgres: `id bigint PRIMARY KEY, token uuid NOT NULL, tags text[] NOT NULL, parts integer[] NOT NULL, weights double precision[] NOT NULL,
    prices numeric(10,2)[] NOT NULL, amount numeric(38,10) NOT NULL, price numeric(12,2) NOT NULL, ratio numeric NOT NULL, body jsonb NOT NULL`,
  mariadb: `id bigint PRIMARY KEY, token uuid NOT NULL, amount decimal(38,10) NOT NULL, price decimal(12,2) NOT NULL,
    ratio decimal(65,30) NOT NULL, body json NOT NULL`,
}

const STEP = 500_000

const ROWS = {
  postgres: (from: number, to: number) => `SELECT i, md5(i::text)::uuid,
      array['tag ' || i % 97, NULL, 'a "quoted" one', 't' || i], array[i % 1000, NULL, i, 7, i * 3 % 90001]::int[], array[i / 7.0, i]::float8[],
      array[i / 100.0, 1.5, i % 77]::numeric(10,2)[], (i * 123456789.0123456789)::numeric(38,10), (i % 100000000) / 100.0, i / 3.0,
      jsonb_build_object('id', i, 'name', 'customer ' || i, 'tags', jsonb_build_array(i % 10, true, null), 'at', jsonb_build_object('x', i / 7.0))
    FROM generate_series(${from}::bigint, ${to - 1}) AS i`,
  mariadb: (
    from: number,
    to: number,
  ) => `SELECT seq, insert(insert(md5(seq), 13, 1, '4'), 17, 1, '8'), seq * 123456789.0123456789, seq % 100000000 / 100, seq / 3,
      json_object('id', seq, 'name', concat('customer ', seq), 'tags', json_array(seq % 10, true, NULL), 'at', json_object('x', seq / 7))
    FROM seq_${from}_to_${to - 1}`,
}

/** Creates and fills `documents`; vacuumed and analysed, so that no run pays for what the filling left behind. */
export async function fillDocuments(
  database: FreshDatabase,
  kind: 'postgres' | 'mariadb',
  rows: number,
): Promise<void> {
  await database.query(`CREATE TABLE documents (${COLUMNS[kind]})`)
  for (let from = 1; from <= rows; from += STEP)
    await database.query(`INSERT INTO documents ${ROWS[kind](from, Math.min(rows + 1, from + STEP))}`)
  await database.query(kind === 'postgres' ? 'VACUUM ANALYZE documents' : 'ANALYZE TABLE documents')
}
