import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Mask } from '../../engine/mask.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { faultText } from '../../engine/sql/faults.ts'
import { enrichRows } from '../../engine/transform/enrichRows.ts'
import { columnsOf } from '../../engine/transform/modelTypes.ts'
import { readFolder } from '../../src/config/folder.ts'
import { readHeader } from '../../src/config/header.ts'
import { readFunctions } from '../../src/config/ownFunctions.ts'

const folder = mkdtempSync(join(tmpdir(), 'nf-faults-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let jobs = 0

/** A folder of a job with `enrich/geo.ts` and what else lies there. */
function job(code: string, others: Record<string, string> = {}): string {
  const place = join(folder, String(jobs++))
  mkdirSync(join(place, 'enrich'), { recursive: true })
  for (const [name, text] of Object.entries({ 'enrich/geo.ts': code, ...others }))
    writeFileSync(join(place, name), text)
  return place
}

const read = (place: string) => readFunctions(place, ['enrich/geo.ts'])

const TAKES = "export const takes = { zip: 'VARCHAR' }\n"
const GIVES = "export const gives = { region: 'VARCHAR', n: 'DECIMAL(6,2)' }\n"
const BODY = 'export const enrich = ({ zip }) => ({ region: zip, n: zip.map(() => 1) })\n'

const LEADS_OUT = /enrich\/geo.ts: is reached by a link that leads out of enrich\//

/** What is told of a file that cannot be a function of a job, in the words of `validate`. */
async function told(code: string, others?: Record<string, string>): Promise<string> {
  const { faults, functions } = await read(job(code, others))
  assert.equal(functions.size, 0)
  return faults.map(fault => faultText(fault)).join('\n')
}

test('what a file of functions lacks is told with its place and what to write', async () => {
  assert.equal(
    await told(`${TAKES}${GIVES.replace('gives', 'give')}${BODY}`),
    `enrich/geo.ts:2: exports no gives; did you mean gives by give
    export const give = { region: 'VARCHAR', n: 'DECIMAL(6,2)' }
                 ^
    hint: Say which columns it gives: export const gives = { region: 'VARCHAR' } as const`,
  )
  assert.equal(
    await told(
      `${TAKES}${GIVES.replace('DECIMAL(6,2)', 'DECIMAl(6;2)').replace("'VARCHAR'", "'VARCHR'")}${BODY}`,
    ),
    `enrich/geo.ts:2: gives: 'VARCHR' is not a type of a column; did you mean "VARCHAR"?
    export const gives = { region: 'VARCHR', n: 'DECIMAl(6;2)' }
                           ^
    hint: Types: VARCHAR, BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, UTINYINT, USMALLINT, UINTEGER, UBIGINT, FLOAT, DOUBLE, DECIMAL(12,2), DATE, TIME, TIMESTAMP, TIMESTAMPTZ, BLOB, JSON.
enrich/geo.ts:2: gives: 'DECIMAl(6;2)' is not a type of a column; did you mean "DECIMAL(12,2)"?
    export const gives = { region: 'VARCHR', n: 'DECIMAl(6;2)' }
                                             ^
    hint: Types: VARCHAR, BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, UTINYINT, USMALLINT, UINTEGER, UBIGINT, FLOAT, DOUBLE, DECIMAL(12,2), DATE, TIME, TIMESTAMP, TIMESTAMPTZ, BLOB, JSON.`,
  )
  assert.equal(
    await told(`${TAKES}${GIVES.replace("'VARCHAR'", "'INTEGER[]'")}${BODY}`),
    `enrich/geo.ts:2: gives: 'INTEGER[]' is not a type of a column
    export const gives = { region: 'INTEGER[]', n: 'DECIMAL(6,2)' }
                           ^
    hint: A list, struct or map travels as JSON: region: 'JSON'; a model casts it: region::INTEGER[].`,
  )
  assert.match(
    await told(`${TAKES}${GIVES.replace('region', 'ZIP')}${BODY}`),
    /^enrich\/geo.ts:2: gives ZIP, which it takes\n/,
  )
  assert.match(
    await told(`export const takes = {}\n${GIVES}${BODY}`),
    /^enrich\/geo.ts:1: takes names no columns with their types\n/,
  )
  assert.match(
    await told(`${TAKES}${GIVES}export const enrich = 3`),
    /^enrich\/geo.ts:3: enrich is no function\n/,
  )
})

test('what cannot be loaded, or may not be, is told at its line', async () => {
  assert.equal(
    await told(`import { a } from './zones.ts'\n${TAKES}${GIVES}${BODY}`),
    `enrich/geo.ts:1: cannot be loaded: imports './zones.ts', which is not there
    import { a } from './zones.ts'
                       ^
    hint: A path is written from this file, with its ending: ./zones.ts`,
  )
  assert.equal(
    await told(`${TAKES}import { a } from '../outside.ts'\n`, { 'outside.ts': 'export const a = 1' }),
    `enrich/geo.ts:2: cannot be loaded: imports '../outside.ts', which lies outside enrich/
    import { a } from '../outside.ts'
                       ^
    hint: Put it into enrich/; a package is imported by its name.`,
  )
  assert.match(
    await told("import a from 'https://example.com/a.js'\n"),
    /imports 'https:\/\/example.com\/a.js', which lies outside enrich\//,
  )
  assert.match(await told("import a from 'data:text/javascript,1'\n"), /which lies outside enrich\//)
  assert.match(
    await told("import a from 'no-such-package'\n"),
    /a package that is not installed.*hint: npm install no-such-package/s,
  )
  assert.match(
    await told("import { a } from './b.ts'\n", { 'enrich/b.ts': 'export const b = 1' }),
    /^enrich\/geo.ts:1: .*does not provide an export named 'a'/,
  )
  assert.match(
    await told("import { a } from './b.ts'\n", { 'enrich/b.ts': '\nexport const a = = 1' }),
    /^enrich\/b.ts:2: cannot be loaded: /,
  )
  assert.match(
    await told('\nenum Kind { A }\n'),
    /^enrich\/geo.ts:2: cannot be loaded: TypeScript enum is not supported/,
  )
  assert.match(
    await told(`${TAKES}\nthrow new Error('not today')\n`),
    /^enrich\/geo.ts:3: cannot be loaded: not today\n/,
  )
  assert.match(await told('process.exit(3)\n'), /^enrich\/geo.ts: cannot be loaded: its thread ended/)
  const linked = job('')
  rmSync(join(linked, 'enrich/geo.ts'))
  writeFileSync(join(linked, 'far.ts'), TAKES + GIVES + BODY)
  symlinkSync(join(linked, 'far.ts'), join(linked, 'enrich/geo.ts'))
  assert.match(faultText((await read(linked)).faults[0]!), LEADS_OUT)
  assert.match(
    faultText((await readFunctions(linked, ['enrich/none.ts'])).faults[0]!),
    /enrich\/none.ts: is not there/,
  )
})

test('a model that names no file of functions is told at its line', () => {
  const { faults, ...said } = readHeader('m.sql', '-- @enrich ../geo.ts\nSELECT 1 AS id')
  assert.deepEqual(said, { partial: true })
  assert.equal(
    faults.map(fault => faultText(fault)).join('\n'),
    `m.sql:1: @enrich ../geo.ts is no file of TypeScript in enrich/
    -- @enrich ../geo.ts
    ^
    hint: Write -- @enrich enrich/geo.ts`,
  )
  for (const file of [
    'enrich/geo.sql',
    'enrich/../geo.ts',
    '/enrich/geo.ts',
    'enrich/a/../../b.ts',
    'https://x/enrich/geo.ts',
    'enrich/https:/x.ts',
  ])
    assert.equal(readHeader('m.sql', `-- @enrich ${file}\nSELECT 1`).faults.length, 1, file)
  assert.equal(
    readHeader('m.sql', '-- @enrich enrich/deep/geo.mts\nSELECT 1').function?.file,
    'enrich/deep/geo.mts',
  )
})

test('a job is another one where any file of its functions is', async () => {
  const place = job(`import data from './data.json' with { type: 'json' }\n${TAKES}${GIVES}${BODY}`, {
    'job.yaml': 'job: a',
    'enrich/data.json': '[1]',
  })
  const of = async () => [
    (await readFolder(place)).hash,
    (await read(place)).functions.get('enrich/geo.ts')!.version,
  ]
  const before = await of()
  assert.deepEqual(await of(), before)
  writeFileSync(join(place, 'enrich/data.json'), '[2]')
  const now = await of()
  for (const [index, each] of before.entries()) assert.notEqual(now[index], each)
})

const workers = new Workers(1)
after(() => workers.close())

/** How a function of a body fails over the rows of a query: of three, where none is given. */
async function failing(
  body: string,
  mask = Mask.none,
  sql = "FROM (VALUES (7, 'AB1'), (8, 'bad'), (9, NULL)) AS t(id, zip)",
): Promise<string> {
  const place = job(`${TAKES}${GIVES}${body}`)
  const { functions, faults } = await read(place)
  assert.deepEqual(faults, [])
  const duck = await Duck.open({ threads: 4, folders: [place] })
  const enrich = functions.get('enrich/geo.ts')!
  const model = { name: 'places', file: 'job.yaml: enrich.places', sql, enrich }
  const work = {
    ...{ duck, workers, mask, root: place, threads: 1, keys: ['id'], note() {} },
    signal: new AbortController().signal,
    version: enrich.version,
    folder: 'work',
  }
  try {
    const columns = await columnsOf({ duck, root: place }, model)
    const { rows } = await enrichRows(work, model, columns, undefined, 'made.parquet')
    return `${rows} rows`
  } catch (error) {
    const { code, message, hint } = error as EngineError
    return `${code} ${message}\n${hint}`
  } finally {
    duck.close()
  }
}

const gives = (n: string) => `export const enrich = ({ zip }) => ({ region: zip, n: ${n} })\n`

test('a function that throws, or gives what it does not declare, is told with its line and its row', async () => {
  assert.equal(await failing(BODY), '3 rows')
  const throws = "zip.map(value => { if (value === 'bad') throw new RangeError('no such zip'); return 1 })"
  const hint =
    'Mend the function, or have it give null for such values; a check of the table it is from can reject such rows before.'
  assert.equal(
    await failing(gives(throws)),
    `ENRICH_FAILED enrich/geo.ts:3:101: no such zip: row of id = '8', zip = 'bad'\n${hint}`,
  )
  assert.equal(
    await failing(gives('zip.map(value => value.length)')),
    `ENRICH_FAILED enrich/geo.ts:3:78: Cannot read properties of null (reading 'length'): row of id = '9', zip = NULL\n${hint}`,
  )
  const zips = {
    loads: [],
    models: [],
    checks: [],
    macros: [],
    extracts: [{ name: 'raw', key: ['id'], sensitive: ['zip'] }],
  }
  const masked = await failing(
    gives(throws.replace("'no such zip'", "'no such zip: ' + value")),
    new Mask('key', zips),
  )
  assert.match(
    masked,
    /^ENRICH_FAILED enrich\/geo.ts:3:101: it throws; what it says is not shown, as columns are sensitive: /,
  )
  const whole = "(() => { if (zip.length > 1) throw 'too many'; return [1] })()"
  assert.equal(await failing(gives(whole)), `ENRICH_FAILED enrich/geo.ts:3: too many\n${hint}`)
  const asked = [
    [
      'zip.map(value => value === null ? 1.005 : 1)',
      "n: '1.005' is no DECIMAL(6,2): row of id = '9', zip = NULL",
    ],
    [
      "zip.map(value => value === 'bad' ? 'x' : '1')",
      "n: 'x' is no DECIMAL(6,2): row of id = '8', zip = 'bad'",
    ],
    ['[1, 2]', 'enrich gives 2 values of n for 3 rows'],
    ['zip', 'enrich gives n as a column of VARCHAR, not of DECIMAL(6,2)'],
    ['zip.arrow', 'enrich gives n as a column of VARCHAR, not of DECIMAL(6,2)'],
    ["'abc'", 'enrich gives a string as n'],
    ['Promise.resolve([])', 'enrich gives a Promise as n'],
    ['[1, 2, 3], regoin: []', 'enrich gives regoin, which `gives` does not declare; did you mean "region"?'],
    ['undefined', 'enrich does not give n'],
  ]
  for (const [given, message] of asked)
    assert.equal((await failing(gives(given!))).split('\n')[0], `ENRICH_FAILED enrich/geo.ts:3: ${message}`)
  assert.match(
    await failing('export const enrich = async () => 3\n'),
    /geo.ts:3: enrich gives a number, not columns by their names/,
  )
})

test('a thread that a function ends is told', async () => {
  assert.match(await failing(gives('process.exit(3)')), /^ENRICH_FAILED enrich\/geo.ts:3: its thread ended: /)
  const later =
    "export const enrich = () => new Promise(() => setTimeout(() => { throw new Error('late') }))\n"
  assert.match(await failing(later), /^ENRICH_FAILED enrich\/geo.ts:3: its thread ended: /)
})

test('each row of many is given once, however they are divided', async () => {
  const rows = "SELECT i AS id, 'some text of ' || i AS zip FROM range(400_000) AS t(i)"
  assert.equal(await failing(BODY, Mask.none, rows), '400000 rows')
})
