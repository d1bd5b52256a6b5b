import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const files = ['engine', 'src'].flatMap(top => globSync(`${top}/**/*.ts`, { cwd: root }))

const imports = new Map(
  files.map(file => {
    const text = readFileSync(join(root, file), 'utf8')
    const found = [...text.matchAll(/^(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)'/gm)].map(
      match => match[1]!,
    )
    const dynamic = [...text.matchAll(/import\('([^']+)'\)/g)].map(match => match[1]!)
    return [
      file,
      [...found, ...dynamic].map(name =>
        name.startsWith('.') ? relative(root, join(root, dirname(file), name)) : name,
      ),
    ]
  }),
)

/** Packages of one vendor, and the one place that may import them. */
const HOMES: Record<string, string | string[]> = {
  pg: ['src/connectors/postgres/', 'src/metadata/'],
  mysql2: 'src/connectors/mysql/',
  '@duckdb/node-api': 'engine/sql/duckdb.ts',
  'parquet-wasm/node': 'engine/parquet/read.ts',
  '@aws-sdk/client-s3': 'src/stores/s3/',
  'ssh2-sftp-client': 'src/connectors/sftp/',
  yauzl: 'src/formats/zip.ts',
  'unbzip2-stream': 'src/formats/compression.ts',
  'read-excel-file/node': 'src/formats/excel.ts',
  piscina: 'engine/pool/pool.ts',
  nodemailer: 'src/alerts/channels/',
  'libphonenumber-js/max': 'src/enrich/phone.ts',
  'node:sqlite': 'src/metadata/',
}

test('there is code to judge', () => assert.ok(files.length > 40))

test('engine never imports src', () => {
  for (const [file, names] of imports)
    if (file.startsWith('engine/'))
      for (const name of names) assert.ok(!name.startsWith('src/'), `${file} imports ${name}`)
})

test('connectors never import each other', () => {
  for (const [file, names] of imports) {
    const own = /^src\/connectors\/[^/]+\//.exec(file)?.[0]
    if (!own) continue
    for (const name of names) {
      const other = /^src\/connectors\/[^/]+\//.exec(name)?.[0]
      assert.ok(!other || other === own, `${file} imports ${name}`)
    }
  }
})

test('stores know no connector and no job: both are built on them', () => {
  for (const [file, names] of imports)
    if (file.startsWith('src/stores/'))
      for (const name of names) assert.doesNotMatch(name, /^src\/(?!stores\/)/, `${file} imports ${name}`)
})

test('a vendor package appears in its own place only (the demo may talk to its servers)', () => {
  for (const [file, names] of imports)
    for (const name of names) {
      const home = HOMES[name]
      if (home && !file.startsWith('src/demo/'))
        assert.ok(
          [home].flat().some(place => file.startsWith(place)),
          `${file} imports ${name}`,
        )
    }
})

test('shipped code imports neither tests nor benchmarks', () => {
  for (const [file, names] of imports)
    for (const name of names) assert.doesNotMatch(name, /^(test|benchmarks)\//, `${file} imports ${name}`)
})

test('no import cycles', () => {
  const done = new Set<string>()
  const visit = (file: string, path: string[]): void => {
    assert.ok(!path.includes(file), [...path.slice(path.indexOf(file)), file].join(' → '))
    if (done.has(file)) return
    for (const name of imports.get(file) ?? []) if (imports.has(name)) visit(name, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
})

test('the command line starts without what only some commands need', () => {
  const visited = new Set<string>()
  const visit = (file: string): void => {
    if (visited.has(file)) return
    visited.add(file)
    const text = readFileSync(join(root, file), 'utf8')
    // A type costs nothing, and `await import()` only whoever comes by.
    for (const [, name] of text.matchAll(/^(?:import|export) (?!type )(?:[^'";]*?\sfrom )?'([^']+)'/gm))
      if (!name!.startsWith('.')) visited.add(name!)
      else if (name!.endsWith('.ts')) visit(relative(root, join(root, dirname(file), name!)))
  }
  visit('src/cli/program.ts')
  assert.ok(visited.has('src/cli/status.ts') && visited.has('src/metadata/sqlite.ts'))
  const packages = [...visited].filter(name => !name.startsWith('node:') && !name.endsWith('.ts'))
  assert.deepEqual(packages, ['commander'])
})
