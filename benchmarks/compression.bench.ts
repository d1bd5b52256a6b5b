/**
 * Size and time of each compression that staging in a bucket, the archive and the lake can be told, on rows of
 * lineitem's shape. `npm run bench:compression -- [rows]`; prints the tables of docs/compression.md.
 */
import { createReadStream, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PLAIN_FORMAT } from '../engine/parquet/decode.ts'
import { Duck, parquetCodec, quote } from '../engine/sql/duckdb.ts'
import { bunzip2, bzip2 } from '../src/archive/files.ts'
import { endingOf, type Packing, packed, unpackTo } from '../src/stores/packing.ts'
import { cpuOf, machine, table } from './measure.ts'

const rows = Number(process.argv[2] ?? 1_000_000)
const folder = mkdtempSync(join(tmpdir(), 'nf-compression-'))
const duck = await Duck.open({ threads: 1 })

/** Values without a pattern that a compressor could find and real data has not. */
const h = (salt: number, range: number) => `(hash(i, ${salt}) % ${range})::BIGINT`
const pick = (list: string, index: string) => `[${list}][${index} + 1]`
const LINEITEM = `SELECT i // 4 + 1 AS orderkey, (${h(1, 200_000)} + 1)::INTEGER AS partkey, (${h(2, 10_000)} + 1)::INTEGER AS suppkey,
  (i % 4 + 1)::INTEGER AS linenumber, (${h(3, 50)} + 1)::DECIMAL(15,2) AS quantity,
  (${h(4, 10_000_000)} / 100 + 900)::DECIMAL(15,2) AS extendedprice, (${h(5, 11)} / 100)::DECIMAL(15,2) AS discount,
  (${h(6, 9)} / 100)::DECIMAL(15,2) AS tax, ${pick("'R', 'A', 'N'", h(7, 3))} AS returnflag,
  ${pick("'O', 'F'", h(8, 2))} AS linestatus, DATE '1992-01-02' + ${h(9, 2500)}::INTEGER AS shipdate,
  DATE '1992-01-02' + ${h(10, 2500)}::INTEGER AS commitdate, DATE '1992-01-02' + ${h(11, 2500)}::INTEGER AS receiptdate,
  ${pick("'DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'", h(12, 4))} AS shipinstruct,
  ${pick("'REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'", h(13, 7))} AS shipmode,
  substr(md5(i::VARCHAR) || ' furiously even deposits sleep quickly among the slyly final requests', ${h(14, 20)} + 1, ${h(15, 34)} + 10) AS comment
  FROM range(${rows}) r(i)`

/** CPU seconds of all threads and of bzip2's process: what other work on the machine does not change. */
const seconds = async (act: () => Promise<unknown>) => {
  const start = cpuOf(process.pid, true)
  await act()
  return cpuOf(process.pid, true) - start
}

const plain = join(folder, 'plain.parquet')
await duck.run(`COPY (${LINEITEM}) TO ${quote(plain)} (${PLAIN_FORMAT})`)
const whole = statSync(plain).size
const scan = (file: string) =>
  duck.run(`CREATE OR REPLACE TEMP TABLE seen AS FROM read_parquet(${quote(file)})`)
const line = (name: string, bytes: number, write: number, read: number) => [
  name,
  (bytes / 1e6).toFixed(1),
  (whole / bytes).toFixed(1),
  write.toFixed(2),
  read.toFixed(2),
]

async function packing(how: Packing): Promise<(string | number)[]> {
  const file = `${join(folder, 'packed')}${endingOf(how)}`
  const write = await seconds(() => writeFile(file, packed(plain, how)))
  const read = await seconds(() => unpackTo(file, createReadStream(file), join(folder, 'unpacked')))
  return line(
    `${how.codec}${how.level === undefined ? '' : ` ${how.level}`}`,
    statSync(file).size,
    write,
    read,
  )
}

async function codec(compression: string, level?: number): Promise<(string | number)[]> {
  const file = join(folder, 'coded.parquet')
  const write = await seconds(() =>
    duck.run(
      `COPY (FROM read_parquet(${quote(plain)})) TO ${quote(file)} (FORMAT parquet, ${parquetCodec({ compression, level })})`,
    ),
  )
  const read = await seconds(() => scan(file))
  return line(`${compression}${level === undefined ? '' : ` ${level}`}`, statSync(file).size, write, read)
}

async function bzip2Line(): Promise<(string | number)[]> {
  const file = join(folder, 'whole.parquet')
  const write = await seconds(async () => {
    await duck.run(
      `COPY (FROM read_parquet(${quote(plain)})) TO ${quote(file)} (FORMAT parquet, COMPRESSION uncompressed)`,
    )
    renameSync(await bzip2(file), `${file}.packed`)
  })
  const bytes = statSync(`${file}.packed`).size
  const read = await seconds(async () => {
    await bunzip2(`${file}.packed`, file)
    await scan(file)
  })
  return line('bzip2', bytes, write, read)
}

try {
  const packings: Packing[] = [
    { codec: 'none' },
    { codec: 'zstd', level: 1 },
    { codec: 'zstd', level: 3 },
    { codec: 'zstd', level: 9 },
    { codec: 'gzip', level: 1 },
    { codec: 'gzip', level: 6 },
  ]
  const staging = []
  for (const how of packings) staging.push(await packing(how))
  const parquet = [await codec('uncompressed'), await codec('snappy')]
  for (const level of [1, 3, 9]) parquet.push(await codec('zstd', level))
  parquet.push(await codec('gzip'), await bzip2Line())
  const head = ['codec, level', 'MB', 'times smaller', 'write, CPU s', 'read, CPU s']
  console.log(`${machine()}; ${rows} rows, ${(whole / 1e6).toFixed(1)} MB as staging writes them\n`)
  console.log(`Staging in a bucket (\`STAGING_URL\`)\n\n${table(head, staging)}\n`)
  console.log(`Archive and lake (Parquet)\n\n${table(head, parquet)}`)
} finally {
  duck.close()
  rmSync(folder, { recursive: true, force: true })
}
