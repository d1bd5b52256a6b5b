/**
 * Body of a process that reads mutated files one after another; what it says ends with `done N`. A process of its own:
 * a crash of DuckDB's would take the tests with it.
 *
 *     node test/drops/corrupt.ts parquet|gzip|zip|bzip2|zstd|arrow COUNT SEED FOLDER
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import { EngineError } from '../../engine/errors.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { typeFromName } from '../../engine/types/logical.ts'
import { LocalStore } from '../../src/connectors/local/store.ts'
import { dropLane } from '../../src/drops/lane.ts'
import { dropOptions } from '../../src/drops/options.ts'

const [kind = '', count = '0', seed = '1', folder = ''] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
let state = Number(seed)
const random = (below: number) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

const good = await seeds()
const SUFFIX: Record<string, string> = { gzip: '.gz', bzip2: '.bz2', zstd: '.zst', zip: '.zip' }
const path = join(folder, `x${SUFFIX[kind] ?? ''}`)
const format = kind === 'parquet' || kind === 'arrow' ? kind : 'csv'
const options = dropOptions.parse({
  files: '*',
  format,
  on_bad_file: 'quarantine',
  max_unpacked: '64MB',
  schema: { id: 'BIGINT', name: 'VARCHAR' },
})
const columns = [
  {
    name: 'id',
    type: typeFromName('BIGINT')!,
    nullable: true,
    native: 'BIGINT',
    policy: 'quarantine' as const,
  },
  { name: 'name', type: typeFromName('VARCHAR')!, nullable: true, native: 'VARCHAR' },
  { name: '_nf_rejected', type: typeFromName('VARCHAR')!, nullable: true, native: 'text' },
]
const lane = await dropLane(() => new LocalStore({ name: 'drop', folder }))({ access: {}, spool: folder })
const read = { extract: 'x', where: 'drop.x', columns, key: [], options, limits: { rows: 1000, bytes: 1e6 } }
let slowest = 0
for (let number = 0; number < Number(count); number++) {
  const bytes = mutated(good[random(good.length)]!)
  writeFileSync(path, bytes)
  const entry = (await new LocalStore({ name: 'drop', folder }).stat(basename(path)))!
  const began = performance.now()
  try {
    const range = { label: 'x', payload: { files: [{ ...entry, day: '' }] } }
    await lane.read(
      read,
      range,
      1,
      { write: () => {}, file: fill => fill(join(folder, 'out')), note() {} },
      new AbortController().signal,
    )
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
  }
  slowest = Math.max(slowest, performance.now() - began)
}
await lane.close()
console.log(`slowest ${Math.round(slowest)} ms`)
console.log(`done ${count}`)

async function seeds(): Promise<Buffer[]> {
  const csv = `id,name\n${Array.from({ length: 300 }, (_, index) => `${index},name ${index % 7}`).join('\n')}\n`
  if (kind === 'gzip') return [gzipSync(csv)]
  if (kind === 'zstd') return [zstdCompressSync(csv)]
  if (kind === 'bzip2') return [execFileSync('bzip2', ['-c'], { input: csv })]
  if (kind === 'arrow')
    return [
      Buffer.from(
        tableToIPC(tableFromArrays({ id: BigInt64Array.from([1n, 2n]), name: ['a', 'b'] }), 'stream'),
      ),
    ]
  const duck = await Duck.open({ threads: 1 })
  const made: Buffer[] = []
  if (kind === 'zip') {
    writeFileSync(join(folder, 'x.csv'), csv)
    const script = `import sys,zipfile; z=zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED); z.write(sys.argv[2],'x.csv'); z.write(sys.argv[2],'y.csv'); z.close()`
    execFileSync('python3', ['-c', script, join(folder, 'seed.zip'), join(folder, 'x.csv')])
    made.push(readFileSync(join(folder, 'seed.zip')))
  } else
    for (const [index, how] of [
      'COMPRESSION snappy',
      'COMPRESSION zstd',
      'COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 1',
      'COMPRESSION gzip, PARQUET_VERSION v2',
      'COMPRESSION lz4_raw, ROW_GROUP_SIZE 2048',
    ].entries()) {
      const file = join(folder, `seed-${index}`)
      await duck.run(
        `COPY (SELECT i AS id, CASE WHEN i % 5 > 0 THEN 'name ' || i % 9 END AS name, [i, i] AS l, i / 3 AS d FROM range(5000) AS r(i)) TO ${quote(file)} (FORMAT parquet, ${how})`,
      )
      made.push(readFileSync(file))
    }
  duck.close()
  return made
}

/** One of the ways that a file comes to harm; the footer of a Parquet file is hit as often as all the rest. */
function mutated(whole: Buffer): Buffer {
  const bytes = Buffer.from(whole)
  const near = () =>
    random(2) === 0
      ? random(bytes.length)
      : Math.max(0, bytes.length - 1 - random(Math.min(1200, bytes.length)))
  switch (random(5)) {
    case 0:
      return bytes.subarray(0, random(bytes.length))
    case 1:
      for (let times = random(8) + 1; times > 0; times--) bytes[near()] = random(256)
      return bytes
    case 2:
      bytes[near()]! ^= 1 << random(8)
      return bytes
    case 3: {
      const at = near()
      bytes.fill(random(2) * 255, at, Math.min(bytes.length, at + random(64)))
      return bytes
    }
    default: {
      const at = near()
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random(50)))])
    }
  }
}
