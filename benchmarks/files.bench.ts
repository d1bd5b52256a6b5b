/**
 * `npm run bench:files -- [gigabytes] [files]`: a generated drop of CSV, and many small files on local disk and S3 (moto,
 * which is slow: beside it the same objects, only fetched). Exit code 1 where the peak memory reached LIMIT.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { S3Client } from '../src/stores/s3/client.ts'
import { s3Access, s3Config } from '../src/stores/s3/settings.ts'
import { startS3 } from '../test/s3.ts'
import { cleanUps, follow, gigabytes, machine, table } from './measure.ts'

const LIMIT = 1.5e9
const SCHEMA = { id: 'BIGINT', at: 'TIMESTAMP', amount: 'DECIMAL(12,2)', name: 'VARCHAR', note: 'VARCHAR' }

const bytes = Number(process.argv[2] ?? 0.5) * 1e9
const count = Number(process.argv[3] ?? 1000)
const top = mkdtempSync(join(tmpdir(), 'nf-bench-files-'))
const clean = cleanUps()
clean.after(async () => rmSync(top, { recursive: true, force: true }))
try {
  const results: (string | number)[][] = []
  let peak = 0
  const measure = async (name: string, size: number, config: object, files: string) => {
    const root = join(top, 'staging')
    const { rows, seconds, usage } = await readOnce({ config, options: { files, schema: SCHEMA }, root })
    rmSync(root, { recursive: true, force: true })
    peak = Math.max(peak, usage.peak)
    const rate =
      size > 1e8 ? `${Math.round(size / 1e6 / seconds)} MB/s` : `${Math.round(count / seconds)} files/s`
    results.push([
      name,
      rows.toLocaleString('en'),
      seconds.toFixed(1),
      rate,
      usage.cpu.toFixed(1),
      gigabytes(usage.peak),
    ])
  }

  const large = join(top, 'large')
  mkdirSync(large)
  // As many files as lanes can share evenly.
  for (let file = 0; file < 4; file++) generate(join(large, `${file}.csv`), bytes / 4)
  await measure(
    `${gigabytes(bytes)} of CSV in 4 files, local`,
    bytes,
    { url: pathToFileURL(large).href },
    '*.csv',
  )
  rmSync(large, { recursive: true })

  const small = join(top, 'small')
  mkdirSync(small)
  const content = rowsOf(0, 20)
  for (let file = 0; file < count; file++) writeFileSync(join(small, `${file}.csv`), content)
  await measure(
    `${count.toLocaleString('en')} small files, local`,
    0,
    { url: pathToFileURL(small).href },
    '*.csv',
  )

  const server = await startS3()
  clean.after(async () => server.stop())
  await server.bucket('bench')
  const config = { url: 's3://bench/in', endpoint: server.endpoint, access_key: 'test', secret_key: 'test' }
  const client = new S3Client(s3Access(s3Config.parse(config), 'bench'))
  const names = Array.from({ length: count }, (_, file) => `${file}.csv`)
  await atOnce(names, name => client.put(name, Buffer.from(content)))
  const began = performance.now()
  await atOnce(names, name => client.get(name))
  const bare = (performance.now() - began) / 1000
  results.push([
    'the same on S3, only fetched',
    '',
    bare.toFixed(1),
    `${Math.round(count / bare)} files/s`,
    '',
    '',
  ])
  client.close()
  await measure(`${count.toLocaleString('en')} small files, S3`, 0, config, '*.csv')

  console.log(`${machine()}\n\`npm run bench:files -- ${bytes / 1e9} ${count}\`\n`)
  console.log(table(['', 'rows', 'seconds', 'rate', 'CPU s', 'peak memory'], results))
  if (peak >= LIMIT) {
    console.error(`peak memory ${gigabytes(peak)} is not below ${gigabytes(LIMIT)}`)
    process.exitCode = 1
  }
} finally {
  await clean.run()
}

async function readOnce(input: object) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'filesOnce.ts'), JSON.stringify(input)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const following = follow(child.pid!)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`reading ended with ${code}`)
  return { ...(JSON.parse(output) as { rows: number; seconds: number }), usage: following.stop() }
}

async function atOnce(names: string[], act: (name: string) => Promise<unknown>): Promise<void> {
  const waiting = [...names]
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await act(name)
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

function rowsOf(from: number, rows: number): string {
  const lines = Array.from({ length: rows }, (_, index) => {
    const id = from + index
    return `${id},2026-01-${String((id % 28) + 1).padStart(2, '0')} 10:00:00,${id % 100_000}.${String(id % 100).padStart(2, '0')},name ${id % 1000},"a note, quoted, of row ${id}"`
  })
  return `id,at,amount,name,note\n${lines.join('\n')}\n`
}

function generate(path: string, size: number): void {
  const handle = openSync(path, 'w')
  const [header, ...block] = rowsOf(1_000_000, 100_000).split(/(?<=\n)/)
  let written = writeSync(handle, header!)
  const body = Buffer.from(block.join(''))
  while (written < size) written += writeSync(handle, body)
  closeSync(handle)
}
