/**
 * `npm test [-- words or files…] [--node-options…]`: one Postgres and one MariaDB for all test files that ask for one,
 * then `node --test`. A word keeps the files whose path contains it; options go to Node as they are. The exit code is
 * the test runner's.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { startMariadb } from '../src/demo/servers/mariadb.ts'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { ensureMariadb } from './mariadb.ts'

const root = join(import.meta.dirname, '..')
/** A file that takes longer hangs; a soak may. */
const FILE_TIMEOUT_MS = 1_800_000
const SOAK_TIMEOUT_MS = 24 * 3600_000
const SOAKS = join('test', 'soak')
const SERVERS = join(import.meta.dirname, 'servers.ts')

function testFiles(words: string[]): string[] {
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort()
  if (words.length === 0) return all
  const wanted = words.map(word => word.replace(/^\.\//, '').replaceAll('**', '').replaceAll('*', ''))
  const absolute = words.map(word => relative(root, word))
  const soaks = absolute.filter(file => file.startsWith(SOAKS) && existsSync(join(root, file)))
  return [
    ...all.filter(file => wanted.some(word => file.includes(word)) || absolute.includes(file)),
    ...soaks,
  ]
}

/** Which of these names the files call, or the tests' own modules that they import. */
function called(files: string[], names: string[]): Set<string> {
  const seen = new Set<string>()
  const found = new Set<string>()
  const visit = (path: string) => {
    if (seen.has(path)) return
    seen.add(path)
    const text = readFileSync(path, 'utf8')
    for (const name of names) if (text.includes(`${name}(`)) found.add(name)
    for (const [, imported] of text.matchAll(/from '(\.[^']+)'/g)) {
      const next = join(dirname(path), imported!)
      if (next.startsWith(join(root, 'test')) && next !== SERVERS && existsSync(next)) visit(next)
    }
  }
  for (const file of files) visit(join(root, file))
  return found
}

async function runTests(files: string[], options: string[], env: Record<string, string>): Promise<number> {
  // What a failed test leaves open would hold its file for ever.
  const soak = process.env.SOAK_CASES || process.env.SOAK_ROWS || files.some(file => file.startsWith(SOAKS))
  const limits = ['--test-concurrency=2', `--test-timeout=${soak ? SOAK_TIMEOUT_MS : FILE_TIMEOUT_MS}`]
  const args = ['--test', '--test-reporter=spec', ...limits, ...options, ...files]
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, forward)
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

async function main(): Promise<number> {
  const args = process.argv.slice(2)
  const options = args.filter(argument => argument.startsWith('-'))
  const words = args.filter(argument => !argument.startsWith('-'))
  const files = testFiles(words)
  if (files.length === 0) {
    console.error(`no test file's path contains ${words.join(' or ')}`)
    return 1
  }
  const wanted = called(files, ['freshPostgres', 'freshMariadb'])
  if (wanted.has('freshMariadb')) ensureMariadb()
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-test-'))
  // Servers that tests start run as accounts of their own.
  chmodSync(dir, 0o711)
  const started = await Promise.allSettled([
    wanted.has('freshPostgres') ? startPostgres({ dir }) : undefined,
    wanted.has('freshMariadb') ? startMariadb({ dir }) : undefined,
  ])
  try {
    const [postgres, mariadb] = started
    if (postgres.status === 'rejected') throw postgres.reason
    if (mariadb.status === 'rejected') throw mariadb.reason
    const scratch = join(dir, 'tests')
    mkdirSync(scratch)
    return await runTests(files, options, {
      // What an interrupted test leaves behind goes when we go.
      TMPDIR: scratch,
      // Every file is a process, which would compile all that it imports anew.
      NODE_COMPILE_CACHE: join(dir, 'compiled'),
      ...(postgres.value && { TEST_POSTGRES_URL: postgres.value.url }),
      ...(mariadb.value && { TEST_MARIADB_URL: mariadb.value.url }),
    })
  } finally {
    for (const server of started) if (server.status === 'fulfilled') await server.value?.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
