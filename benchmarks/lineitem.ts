import type { FreshDatabase } from '../test/servers.ts'

/** The TPC-H lineitem table's sixteen columns, named the same in both databases. */
const COLUMNS = `l_orderkey bigint NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_linenumber int NOT NULL,
  l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, l_tax decimal(15,2) NOT NULL,
  l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
  l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber)`

const WORDS =
  'furiously even deposits sleep quickly among the slyly final requests nag carefully bold packages'
const STEP = 1_000_000

/** Rows of lineitem's shape, four to an order, made by the server itself; the same rows for the same count. */
const select = (
  n: (from: number, to: number) => string,
  div: string,
  int: (value: string) => string,
  day: (d: string) => string,
  pick: (list: string, i: string) => string,
) => {
  const h = (salt: number, range: number) => `((i * ${1_000_003 + 2 * salt} + ${salt * 7919}) % ${range})`
  return (
    from: number,
    to: number,
  ) => `SELECT i ${div} 4 + 1, ${h(1, 200_000)} + 1, ${h(2, 10_000)} + 1, i % 4 + 1,
    ${h(3, 50)} + 1, ${h(4, 10_000_000)} / 100 + 900, ${h(5, 11)} / 100, ${h(6, 9)} / 100,
    ${pick("'R', 'A', 'N'", h(7, 3))}, ${pick("'O', 'F'", h(8, 2))}, ${day(h(9, 2500))}, ${day(h(10, 2500))}, ${day(h(11, 2500))},
    ${pick("'DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'", h(12, 4))},
    ${pick("'REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'", h(13, 7))},
    substr(concat(md5(concat(i, '')), ' ${WORDS}'), ${int(h(14, 20))} + 1, ${int(h(15, 34))} + 10) FROM ${n(from, to)}`
}

const postgresRows = select(
  (from, to) => `generate_series(${from}::bigint, ${to - 1}) AS g(i)`,
  '/',
  value => `(${value})::int`,
  d => `date '1992-01-02' + (${d})::int`,
  (list, i) => `(ARRAY[${list}])[${i} + 1]`,
)

const mariadbRows = select(
  (from, to) => `(SELECT seq AS i FROM seq_${from}_to_${to - 1}) AS g`,
  'DIV',
  value => value,
  d => `date '1992-01-02' + INTERVAL ${d} DAY`,
  (list, i) => `ELT(${i} + 1, ${list})`,
)

/** Creates and fills `lineitem`; vacuumed and analysed, so that no run pays for what the filling left behind. */
export async function fillLineitem(
  database: FreshDatabase,
  kind: 'postgres' | 'mariadb',
  rows: number,
): Promise<void> {
  await database.query(`CREATE TABLE lineitem (${COLUMNS})`)
  const of = kind === 'postgres' ? postgresRows : mariadbRows
  for (let from = 0; from < rows; from += STEP)
    await database.query(`INSERT INTO lineitem ${of(from, Math.min(rows, from + STEP))}`)
  await database.query(kind === 'postgres' ? 'VACUUM ANALYZE lineitem' : 'ANALYZE TABLE lineitem')
}
