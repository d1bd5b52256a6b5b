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
  'parquet-wasm/node': [
    'engine/parquet/read.ts',
    'src/formats/parquetBeyond.ts',
    'src/formats/arrowFiles.ts',
  ],
  '@aws-sdk/client-s3': 'src/stores/s3/',
  'ssh2-sftp-client': 'src/connectors/sftp/',
  ssh2: 'src/connectors/sftp/',
  undici: ['src/connectors/http/', 'src/util/httpClient.ts'],
  '@aws-sdk/client-secrets-manager': 'src/secrets/aws.ts',
  '@aws-sdk/client-ssm': 'src/secrets/aws.ts',
  yauzl: 'src/formats/zip.ts',
  'unbzip2-stream': 'src/formats/compression.ts',
  saxes: 'src/formats/excel/xml.ts',
  '@foxglove/wasm-lz4': 'src/formats/ipc.ts',
  piscina: 'engine/pool/pool.ts',
  nodemailer: 'src/alerts/channels/',
  'libphonenumber-js/max': 'src/enrich/phone.ts',
  'node:sqlite': 'src/metadata/',
  hono: 'src/web/',
  '@hono/node-server': 'src/web/',
  'prom-client': 'src/service/metrics.ts',
}

test('there is code to judge', () => assert.ok(files.length > 40))

/** Top to bottom: a folder (or a file beside the folders) imports only what stands below it. */
const FLOORS: Record<string, string[]> = {
  engine: [
    'pipeline.ts',
    'load',
    'verify',
    'diff',
    'transform',
    'quality',
    'extract',
    'plan',
    'runtime',
    'mask.ts',
    'staging',
    'parquet',
    'pool',
    'lineage',
    'sql',
    'contracts',
    'batch',
    'types',
    'nearest.ts',
    'plural.ts',
    'width.ts',
    'errors.ts',
    'ownValue.ts',
  ],
  src: [
    'main.ts',
    'docs',
    'index.ts',
    'cli',
    'demo',
    'init',
    'copy',
    'airflow',
    'web',
    'projectSite',
    'workbench',
    'service',
    'runs',
    'report',
    'sla',
    'alerts',
    'archive',
    'metadata',
    'config',
    'secrets',
    'connectors/index.ts',
    'connectors/postgres',
    'connectors/mysql',
    'connectors/duckdb',
    'connectors/lake',
    'connectors/http',
    'connectors/sftp',
    'connectors/s3',
    'connectors/local',
    'connectors/job',
    'connectors/sql',
    'connectors/wire',
    'enrich',
    'drops',
    'formats',
    'spec',
    'schedule',
    'connectors/declare',
    'stores',
    'util',
  ],
}

/** The top folder of a file, its folder there, and the number of its floor. */
function floorOf(file: string): { top: string; folder: string; floor: number } {
  const [top, ...below] = file.split('/') as [string, ...string[]]
  const folder = below.slice(0, below[0] === 'connectors' ? 2 : 1).join('/')
  return { top, folder, floor: FLOORS[top]!.indexOf(folder) }
}

test('every folder has its floor, and imports only what stands below it', () => {
  for (const [file, names] of imports) {
    const { top, folder, floor } = floorOf(file)
    assert.ok(floor >= 0, `${file}: give ${folder} a floor`)
    for (const name of names) {
      if (!imports.has(name) || name.split('/')[0] !== top) continue
      const below = floorOf(name)
      assert.ok(below.floor >= floor, `${file} imports ${name}, which stands above it`)
    }
  }
})

test('engine never imports src', () => {
  for (const [file, names] of imports)
    if (file.startsWith('engine/'))
      for (const name of names) assert.ok(!name.startsWith('src/'), `${file} imports ${name}`)
})

/** What several connectors stand on. */
const SHARED = ['sql', 'wire', 'declare']

test('connectors never import each other', () => {
  for (const [file, names] of imports) {
    const own = /^src\/connectors\/([^/]+)\//.exec(file)?.[1]
    if (!own) continue
    for (const name of names) {
      const other = /^src\/connectors\/([^/]+)\//.exec(name)?.[1]
      assert.ok(!other || other === own || SHARED.includes(other), `${file} imports ${name}`)
    }
  }
})

test('stores know no connector and no job: both are built on them', () => {
  for (const [file, names] of imports)
    if (file.startsWith('src/stores/'))
      for (const name of names)
        assert.doesNotMatch(name, /^src\/(?!stores|util\/)/, `${file} imports ${name}`)
})

test('no file has more than 400 lines', () => {
  const all = [...files, ...globSync('{test,benchmarks}/**/*.ts', { cwd: root })]
  const long = all.filter(file => readFileSync(join(root, file), 'utf8').split('\n').length > 401)
  assert.deepEqual(long, [])
})

/** Words that were ours alone, and what the field says. */
const PRIVATE: [RegExp, string][] = [
  [/\bWorld\b/, 'RunContext'],
  [/\bObserver\b/, 'ProgressListener'],
  [/\bLedger\b|\bledger\b/, 'TaskStore'],
  [/\bBranches\b/, 'FailureScope'],
  [/\bCrew\b/, 'LanePool'],
  [/\bPiece\b/, 'RangeTask'],
  [/\bProver\b|\bprover\b/, 'Verifier'],
  [/\bprove\w*\b|\bproof\b/i, 'verify, Verification'],
  [/\bVerdict\b/, 'RangeFinding'],
  [/\bFitter\b|\bfitter\b/, 'RowValidator'],
  [/\bmisfits?\b/i, 'RejectedRow, findRejects'],
  [/\bTicket\b|\bticket\b/, 'LaneDescriptor'],
  [/\blimbs?\b/, 'int128 words'],
  [/\bgoOn\b/, 'carryForward'],
  [/\bEVERY\b|\bMOST\b/, 'what is counted, and the unit: POLL_INTERVAL_MS, MAX_…'],
  [/passes\b.{0,20}\btransient|in a way that passes/, 'transient'],
  [/defect of ours/, 'internal error (a bug)'],
  [/lets us in/, 'authenticates'],
  [/wakes (up )?late/, 'a stale owner'],
  [/gave way to/, 'superseded by'],
]

test('files are read by SQL in one place, where nothing is left to be guessed', () => {
  const reads = /\b(?:read_(?:parquet|csv|json|ndjson|text|blob)\w*|parquet_scan|sniff_csv)\s*\(/
  const found = files.filter(
    file => file !== 'engine/sql/files.ts' && reads.test(readFileSync(join(root, file), 'utf8')),
  )
  assert.deepEqual(found, [])
})

/** What others date: tokens, headers, files; and what is shown to people. */
const DATED = [
  'src/secrets/gcp.ts',
  'src/connectors/http/pace.ts',
  'src/connectors/wire/clock.ts',
  'src/connectors/postgres/changesLane.ts',
  'src/stores/work.ts',
  'src/cli/progress.ts',
]

test("no wait goes by the machine's clock: somebody may set it back amid a night", () => {
  const found = files.filter(
    file =>
      !file.startsWith('src/demo/') &&
      !DATED.includes(file) &&
      /\bDate\.now\b/.test(readFileSync(join(root, file), 'utf8')),
  )
  assert.deepEqual(found, [])
})

test("names and sentences are the field's", () => {
  const texts = globSync(['{engine,src}/**/*.{ts,md}', '*.md', 'docs/**/*.md', 'queries/**/*.md'], {
    cwd: root,
  })
  const found = texts
    .filter(file => file !== 'CHANGELOG.md')
    .flatMap(file =>
      readFileSync(join(root, file), 'utf8')
        .split('\n')
        .flatMap((line, at) =>
          PRIVATE.filter(([word]) => word.test(line)).map(
            ([word, better]) => `${file}:${at + 1}: ${word.exec(line)![0]} is ours; say ${better}`,
          ),
        ),
    )
  assert.deepEqual(found, [])
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

/** What is loaded with a file: other files, and packages by their names. */
function loadedWith(file: string, visited = new Set<string>()): Set<string> {
  if (visited.has(file)) return visited
  visited.add(file)
  const text = readFileSync(join(root, file), 'utf8')
  // A type costs nothing, and `await import()` only whoever comes by.
  for (const [, name] of text.matchAll(/^(?:import|export) (?!type )(?:[^'";]*?\sfrom )?'([^']+)'/gm))
    if (!name!.startsWith('.')) visited.add(name!)
    else if (name!.endsWith('.ts')) loadedWith(relative(root, join(root, dirname(file), name!)), visited)
  return visited
}

const packagesIn = (visited: Set<string>) =>
  [...visited].filter(name => !name.startsWith('node:') && !name.endsWith('.ts'))

test('the command line starts without what only some commands need', () => {
  const visited = loadedWith('src/cli/program.ts')
  assert.ok(visited.has('src/cli/status.ts') && visited.has('src/metadata/sqlite.ts'))
  assert.deepEqual(packagesIn(visited), ['commander'])
})

/** Threads of a run, each of which loads its modules anew, and the packages that they need; drivers are loaded to connect. */
const THREADS: Record<string, string[]> = {
  'engine/pool/callWorker.ts': [],
  'engine/extract/laneWorker.ts': [],
  'engine/extract/changeWorker.ts': [],
  'src/connectors/mysql/lane.ts': ['fastest-levenshtein'],
  'src/connectors/mysql/stage.ts': [],
  'src/connectors/mysql/changesLane.ts': [],
  'src/connectors/postgres/lane.ts': ['fastest-levenshtein'],
  'src/connectors/postgres/stage.ts': [],
  'src/connectors/postgres/readBack.ts': ['fastest-levenshtein'],
  'src/connectors/postgres/changesLane.ts': [],
}

for (const [file, packages] of Object.entries(THREADS))
  test(`a thread of ${file} starts with what it needs`, () => {
    const found = packagesIn(loadedWith(file)).map(name => name.split('/')[0]!)
    assert.deepEqual([...new Set(found)].toSorted(), packages)
  })

test('a number stands with the word of its count', () => {
  const NOUNS =
    'row file extract model check load column record task chunk error value byte range run interval case field'
  const counts = new RegExp(
    String.raw`\$\{(?!counted\()((?:[^{}]|\{[^{}]*\})*)\} (?:[a-z]+ )?(?:${NOUNS.replaceAll(' ', '|')})s\b`,
    'g',
  )
  /** What is no number, or never one. */
  const fine =
    /^[A-Z_]+$|(?:name|from|job|action|folder|file|join\(', '\)|mode)$|answer\(|limits\.ratio|'all'/
  /** Of more than one, by the condition before; of bytes that are never one; in a closed package. */
  const never = ['row', 'rowCount', 'length', 'found.n', 'wrong.n', 'most', 'overlap.length']
  const found = files.flatMap(file =>
    [...readFileSync(join(root, file), 'utf8').matchAll(counts)]
      .filter(([, expression]) => !fine.test(expression!) && !never.includes(expression!))
      .map(([text]) => `${file}: ${text}`),
  )
  assert.deepEqual(found, [], 'counted() of engine/plural.ts gives "1 row"')
})
