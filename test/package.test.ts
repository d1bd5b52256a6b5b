/** What is published: packed, unpacked in an empty folder beside the dependencies that are here, and used as it is. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, matchesGlob } from 'node:path'
import { after, test } from 'node:test'

const ROOT = join(import.meta.dirname, '..')
const DEPLOY = join(ROOT, 'deploy')
const place = mkdtempSync(join(tmpdir(), 'nightfreight-package-'))
after(() => rmSync(place, { recursive: true, force: true }))

test('the package, compiled and installed elsewhere, runs the demo', () => {
  chmodSync(place, 0o755)
  // A copy: building here would leave a dist that is older than its sources.
  const source = join(place, 'source')
  mkdirSync(source)
  for (const name of [
    'bin',
    'docs',
    'engine',
    'src',
    'queries',
    'package.json',
    'package-lock.json',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
  ])
    cpSync(join(ROOT, name), join(source, name), { recursive: true })
  for (const name of readdirSync(ROOT))
    if (name.startsWith('tsconfig')) cpSync(join(ROOT, name), join(source, name))
  symlinkSync(join(ROOT, 'node_modules'), join(source, 'node_modules'))
  const npm = (...args: string[]) => execFileSync('npm', args, { cwd: source, encoding: 'utf8' })
  const [{ filename, files }] = JSON.parse(npm('pack', '--json', '--silent')) as [
    { filename: string; files: { path: string }[] },
  ]
  const packed = files.map(({ path }) => path)
  for (const path of [
    'bin/nightfreight.cjs',
    'dist/src/main.js',
    'docs/job.schema.json',
    'dist/src/main.d.ts',
    'queries/members/job.yaml',
    'queries/macros/phone.sql',
  ])
    assert.ok(packed.includes(path), `${path} is not in the package`)
  assert.ok(
    !packed.some(path => path.startsWith('test') || (path.endsWith('.ts') && !path.endsWith('.d.ts'))),
  )

  const installed = join(place, 'empty/node_modules/nightfreight')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', join(source, filename), '--strip-components=1', '-C', installed])
  // As npm would put them; without the network.
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'))
  const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(installed, bin.nightfreight), ...args], {
      cwd: join(place, 'empty'),
      encoding: 'utf8',
      env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` },
    })
  const version = run('--version')
  assert.equal(version.stdout, `${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}\n`)
  apiWorks(join(place, 'empty'), installed)
  const demo = run('demo', '--members', '1000')
  assert.equal(demo.status, 0, demo.stdout + demo.stderr)
  const report = /report of night two:\n\s+(\S+)/.exec(demo.stdout)![1]!
  assert.ok(existsSync(report), report)
})

/** The functions of TypeScript that documents show, and what their types refuse. */
function functionsOfDocuments(folder: string): string[] {
  const [, country] = /^cat > shop\/enrich\/country\.ts <<'TS'\n(.*?)^TS$/ms.exec(
    readFileSync(join(ROOT, 'docs/analyst.md'), 'utf8'),
  )!
  const [, geo] = /^```ts\n(.*?)^```$/ms.exec(readFileSync(join(ROOT, 'queries/README.md'), 'utf8'))!
  const refused = `import type { Enrich } from 'nightfreight'
type Takes = { readonly id: 'BIGINT'; readonly day: 'date'; readonly pay: 'DECIMAL(9,2)'; readonly raw: 'BLOB' }
type Of<T extends string> = Enrich<Takes, { readonly x: T }>
export const all: Of<'DOUBLE'>[] = [
  ({ raw }) => ({ x: raw.map(value => value?.length) }),
  ({ id }, rows) => ({ x: new Float64Array(rows).fill(Number(id.get(0))) }),
  async ({ id }) => ({ x: id.arrow }),
  // @ts-expect-error a bigint is no DOUBLE
  ({ id }) => ({ x: id.map(value => value) }),
  // @ts-expect-error not all that is declared is given
  () => ({}),
  // @ts-expect-error a column that is not taken
  ({ other }) => ({ x: other }),
]
export const texts: Of<'VARCHAR'> = ({ day, pay }) => ({ x: day.map((value, row) => value && value + pay.get(row)) })
export const days: Of<'TIMESTAMPTZ'> = ({ day }) => ({ x: day.map(value => value && new Date(value)) })
export const money: Of<'decimal(12,2)'> = ({ id }) => ({ x: [...id] })
// @ts-expect-error text is no number
export const flags: Of<'BOOLEAN'> = ({ day }) => ({ x: [...day] })
`
  const files = {
    'country.ts': country!,
    'geo.ts': geo!,
    'zones.ts': 'export const zones = new Map<string, string>()',
    'refused.ts': refused,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return Object.keys(files)
}

/** A program that imports the package, checked by the compiler and run. */
function apiWorks(folder: string, installed: string): void {
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'orders.csv'), 'id,amount\n1,9.50\n2,12.00\n')
  const program = `import { copy, EngineError, plan, runJob, type RunSummary } from 'nightfreight'
const { loaded, status }: RunSummary = await copy('orders.csv', 'duckdb:dw.duckdb', {
  key: ['id'],
  onProgress: ({ kind, task }) => kind === 'finished' && task?.startsWith('load') && console.log(task),
})
console.log(status, loaded.map(({ table, inserted }) => [table, inserted]))
for (const act of [plan, runJob])
  await act('nowhere').catch((error: unknown) => console.log(error instanceof EngineError && [error.code, error.exitCode]))
`
  writeFileSync(join(folder, 'program.ts'), program)
  const functions = functionsOfDocuments(folder)
  const strict = [
    '--noEmit',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--allowImportingTsExtensions',
  ]
  const types = ['--typeRoots', join(ROOT, 'node_modules/@types'), '--types', 'node', '--skipLibCheck']
  const tsc = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/typescript/bin/tsc'), ...strict, ...types, 'program.ts', ...functions],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  )
  assert.equal(tsc.status, 0, tsc.stdout)
  assert.match(
    readFileSync(join(installed, 'dist/src/index.d.ts'), 'utf8'),
    /Throws an \{@link EngineError\}/,
  )
  const ran = spawnSync(process.execPath, ['program.ts'], { cwd: folder, encoding: 'utf8' })
  assert.equal(
    ran.stdout,
    "load.orders\nSUCCESS [ [ 'orders', 2 ] ]\n[ 'CONFIG_INVALID', 2 ]\n[ 'CONFIG_INVALID', 2 ]\n",
    ran.stderr,
  )
}

test('an old Node is told which one is needed, and the line that gets it, without the password of a URL', () => {
  const launcher = JSON.stringify(join(ROOT, 'bin/nightfreight.cjs'))
  const old = `Object.defineProperty(process, 'versions', { value: { node: '12.22.1' } }); require(${launcher})`
  const words = ['copy', 'mysql://me:s3cret@db/shop', 'duckdb:my file.duckdb', '--where', "a = 'x'"]
  const { status, stderr } = spawnSync(process.execPath, ['-e', old, 'launcher', ...words], {
    encoding: 'utf8',
  })
  assert.equal(status, 2)
  assert.match(
    stderr,
    /needs Node \d+\.\d+ or newer, and this is 12\.22\.1[\s\S]*npx --yes --package node@26 -- nightfreight copy URL 'duckdb:my file\.duckdb' --where 'a = '\\''x'\\'''\n\nIn place of URL, write yours/,
  )
  assert.doesNotMatch(stderr, /s3cret/)
})

test('a checkout without its packages says what to type', t => {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-unbuilt-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const name of ['bin', 'package.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin/nightfreight.cjs'), 'status'], {
    encoding: 'utf8',
  })
  assert.equal(status, 2)
  assert.match(stderr, /not installed\. In \S+:\n\n {4}npm ci\n/)
  assert.doesNotMatch(stderr, /ERR_|at /)
})

test('the container file copies what is there, and starts what is built', () => {
  const lines = readFileSync(join(DEPLOY, 'Containerfile'), 'utf8').replace(/\\\n/g, ' ').split('\n')
  const [all, ...letIn] = readFileSync(join(ROOT, '.dockerignore'), 'utf8').trim().split('\n')
  assert.equal(all, '*')
  for (const line of lines.filter(line => line.startsWith('COPY ') && !line.includes('--from=')))
    for (const path of line.split(/\s+/).slice(1, -1)) {
      assert.ok(existsSync(join(ROOT, path)), `${line}: there is no ${path}`)
      assert.ok(
        letIn.some(pattern => matchesGlob(path, pattern.slice(1))),
        `${line}: .dockerignore keeps ${path} out`,
      )
    }
  const { bin, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  assert.ok(lines.some(line => line.includes(`/opt/nightfreight/${bin.nightfreight} `)))
  const least = Number(/\d+/.exec(engines.node)![0])
  for (const line of lines.filter(line => line.startsWith('FROM ')))
    assert.ok(Number(/node:(\d+)/.exec(line)![1]) >= least, line)
})

test('the systemd unit is well-formed, and every section and key one that it may have', t => {
  const unit = readFileSync(join(DEPLOY, 'nightfreight.service'), 'utf8')
  const keys = unit.split('\n').filter(line => line && !line.startsWith('#') && !line.startsWith('['))
  for (const line of keys) assert.match(line, /^[A-Z][A-Za-z]+=\S/)
  assert.deepEqual(
    [...unit.matchAll(/^\[(\w+)\]$/gm)].map(match => match[1]),
    ['Unit', 'Service', 'Install'],
  )
  const verified = spawnSync('systemd-analyze', ['verify', join(DEPLOY, 'nightfreight.service')], {
    encoding: 'utf8',
  })
  if (verified.error) return t.diagnostic('systemd-analyze is not on this machine')
  // The program and its user are not on this machine.
  const wrong = verified.stderr
    .split('\n')
    .filter(line => line.includes('nightfreight.service') && !/not executable|No such file|user/i.test(line))
  assert.deepEqual(wrong, [])
})
