import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, extname, join, sep } from 'node:path'
import { EngineError, systemError } from '../../engine/errors.ts'
import { nearest } from '../../engine/nearest.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import type { Check, Model, SqlFile } from '../spec/job.ts'
import { readHeader } from './header.ts'
import { type Included, readIncluded } from './include.ts'
import { LARGEST_SEED, type SeedFile } from './seeds.ts'

/** What a job's folder holds beside the settings in job.yaml. */
export interface JobFolder {
  yaml: string
  /** Files that job.yaml includes. */
  included: Included[]
  /** connections.yaml, which lies beside the job's folder; undefined where there is none. */
  shared?: string
  models: Model[]
  checks: Check[]
  macros: SqlFile[]
  seeds: SeedFile[]
  /** Files of code in `enrich/`. */
  functions: string[]
  /** SHA-256 (hex) over all of it. */
  hash: string
  /** The same of each file. */
  hashes: Record<string, string>
  /** Files and folders that look as if they were to be read, and are not. */
  problems: Fault[]
  /** Files of SQL that are passed over by their names, as editors' copies are. */
  passedOver: Fault[]
}

type Told = Pick<JobFolder, 'problems' | 'passedOver'>

/** The folder of a job's own functions. */
export const ENRICH = 'enrich'

/** Folders of a job's folder that hold no models. */
const RESERVED = ['checks', 'tests', 'seeds']

/**
 * Reads a job's folder: models in `*.sql` of it and of its sub-folders, `checks/`, `seeds/`, and `../macros/`. Fails with
 * CONFIG_INVALID without a job.yaml; a file that nobody would read is among the problems.
 */
export async function readFolder(folder: string): Promise<JobFolder> {
  const yaml = await readFile(join(folder, 'job.yaml'), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (!/^(ENOENT|ENOTDIR)$/.test(cause.code ?? '')) throw systemError(cause)
    throw new EngineError('CONFIG_INVALID', `${join(folder, 'job.yaml')} cannot be read`, {
      cause,
      hint: 'A job is a folder with a job.yaml in it.',
    })
  })
  const included = readIncluded(folder, yaml)
  const told: Told = { problems: [], passedOver: [] }
  const { problems } = told
  const found = await entries(folder)
  const home = await realpath(folder)
  const models = await sqlFiles(folder, '', told)
  for (const name of found.folders) {
    if (RESERVED.includes(name)) continue
    const files = await sqlFilesBelow(folder, name, told, [home])
    if (name !== 'seeds' && nearest(name, ['seeds']) && (await entries(join(folder, name))).files.some(isCsv))
      problems.push({ file: `${name}/`, message: 'holds CSV files that nobody reads; did you mean seeds/?' })
    const meant = name.toLowerCase() === 'macros' ? '../macros' : nearest(name, RESERVED)
    if (files.length > 0 && meant !== undefined)
      problems.push({
        file: `${name}/`,
        message: `holds SQL files that nobody reads; did you mean ${meant}/?`,
      })
    else models.push(...files)
  }
  const checks: Check[] = (await sqlFiles(folder, 'checks', told)).map(named)
  for (const model of (await entries(join(folder, 'checks'))).folders) {
    const below = `checks/${model}`
    for (const file of await sqlFiles(folder, below, told)) checks.push({ ...named(file), model })
    for (const deeper of (await entries(join(folder, below))).folders)
      problems.push({
        file: `${below}/${deeper}/`,
        message: 'is read by nobody: row checks lie in checks/<table>/ itself',
      })
  }
  const isIncluded = (name: string) => included.some(({ file }) => file === name)
  await findUnread(
    folder,
    found.files.filter(name => !isIncluded(name)),
    told,
  )
  const macros = await sqlFiles(folder, '../macros', told)
  const seeds = await seedFiles(folder, problems)
  const code = await codeFiles(folder, ENRICH, [home])
  const shared = await readFile(join(folder, '../connections.yaml'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    },
  )
  const settings = [
    { file: 'job.yaml', sql: yaml },
    ...included.map(({ file, text }) => ({ file, sql: text })),
    ...(shared === undefined ? [] : [{ file: '../connections.yaml', sql: shared }]),
  ]
  const texts = [...settings, ...models, ...checks, ...macros].map(({ file, sql }) => ({
    file,
    bytes: Buffer.from(sql),
  }))
  const hash = createHash('sha256')
  const hashes: Record<string, string> = {}
  for (const { file, bytes } of [...texts, ...seeds, ...code]) {
    hash.update(`${file}\0${bytes.length}\0`)
    hash.update(bytes)
    hashes[file] = createHash('sha256').update(bytes).digest('hex')
  }
  return {
    yaml,
    included,
    ...(shared !== undefined && { shared }),
    models: models.map(file => {
      const { faults, ...said } = readHeader(file.file, file.sql)
      problems.push(...faults)
      return { ...named(file), ...said }
    }),
    checks,
    macros,
    seeds,
    functions: code.flatMap(({ file }) => (/\.m?[jt]s$/.test(file) ? [file] : [])),
    hash: hash.digest('hex'),
    hashes,
    ...told,
  }
}

const named = (file: SqlFile) => ({ name: basename(file.file).replace(ENDING, ''), ...file })

/** What another encoding says would be compared with other characters than were written. */
const NOT_UTF8 = { message: 'is not UTF-8', hint: 'Save it as UTF-8.' }

const LEADS_NOWHERE = {
  message: 'is a link that leads nowhere: what it is to hold is not known',
  hint: 'Mend the link, or remove it.',
}

const ENDING = /\.sql$/i

/** What a lake keeps in the folder of a table: no folder of models. */
const LAKE_VIEW = '_current.sql'

/** Whether one of these folders lies in another, or is it: real paths. */
const leadsBack = (into: string, from: readonly string[]) =>
  from.some(each => `${each}${sep}`.startsWith(into.endsWith(sep) ? into : `${into}${sep}`))

/** `from` are the real paths of the folders that led here. */
async function sqlFilesBelow(
  folder: string,
  below: string,
  told: Told,
  from: readonly string[],
): Promise<SqlFile[]> {
  const own = await realpath(join(folder, below))
  if (leadsBack(own, from)) {
    told.problems.push({ file: `${below}/`, message: 'is a link that leads back to a folder it lies in' })
    return []
  }
  const found = await entries(join(folder, below))
  if (found.files.includes(LAKE_VIEW)) return []
  const files = await sqlFiles(folder, below, told)
  for (const name of found.folders)
    files.push(...(await sqlFilesBelow(folder, `${below}/${name}`, told, [...from, own])))
  return files
}

/** What functions are made of: all files of a folder but those of SQL, which are models, and installed packages. */
async function codeFiles(
  folder: string,
  below: string,
  from: readonly string[],
): Promise<{ file: string; bytes: Buffer }[]> {
  const { files, folders } = await entries(join(folder, below))
  const found: { file: string; bytes: Buffer }[] = []
  for (const name of files)
    if (!ENDING.test(name))
      found.push({ file: `${below}/${name}`, bytes: await readFile(join(folder, below, name)) })
  for (const name of folders) {
    const own = await realpath(join(folder, below, name))
    // A link that leads back is told where files of SQL are looked for.
    if (name !== 'node_modules' && !leadsBack(own, from))
      found.push(...(await codeFiles(folder, `${below}/${name}`, [...from, own])))
  }
  return found
}

/** What tests and settings of other tools look like where nobody reads them. */
async function findUnread(folder: string, files: string[], { problems, passedOver }: Told): Promise<void> {
  const tests = await entries(join(folder, 'tests'))
  for (const name of tests.files)
    if (ENDING.test(name) && name !== 'tables.sql')
      problems.push({
        file: `tests/${name}`,
        message: 'is read by nobody',
        hint: 'A query whose rows are wrong is a check: it lies in checks/<table>/. A test is a folder of tables: tests/cases/<name>/.',
      })
  for (const name of tests.folders)
    if (!['cases', 'macros'].includes(name))
      problems.push({
        file: `tests/${name}/`,
        message: 'is read by nobody: the folder of a test lies in tests/cases/',
        hint: `mkdir -p tests/cases && mv tests/${name} tests/cases/`,
      })
  for (const name of files)
    if (/^([\w.-]*(schema|sources|models|properties)|dbt_project)\.ya?ml$/i.test(name))
      passedOver.push({
        file: name,
        message: 'is passed over: settings stand in job.yaml',
        hint: 'Checks of columns go below checks: in job.yaml, or into a file that its include: names.',
      })
}

const isCsv = (name: string) => extname(name).toLowerCase() === '.csv'

async function seedFiles(folder: string, problems: Fault[]): Promise<SeedFile[]> {
  const { files, folders, broken } = await entries(join(folder, 'seeds'))
  problems.push(...broken.map(name => ({ file: `seeds/${name}`, ...LEADS_NOWHERE })))
  for (const name of [...files.filter(each => !isCsv(each)), ...folders.map(each => `${each}/`)])
    if (!/\.md$/i.test(name))
      problems.push({
        file: `seeds/${name}`,
        message: 'is read by nobody: a seed is a CSV file in seeds/ itself, its name ends with .csv',
      })
  return Promise.all(
    files.filter(isCsv).map(async name => {
      const path = join(folder, 'seeds', name)
      const { size } = await stat(path)
      return { file: `seeds/${name}`, size, bytes: size > LARGEST_SEED ? Buffer.of() : await readFile(path) }
    }),
  )
}

async function sqlFiles(folder: string, below: string, { problems, passedOver }: Told): Promise<SqlFile[]> {
  const { files, broken, hidden } = await entries(join(folder, below))
  const path = (name: string) => (below ? `${below}/${name}` : name)
  for (const name of hidden)
    if (name.toLowerCase() === '.sql')
      problems.push({ file: path(name), message: 'is read by nobody: a file of SQL has a name before .sql' })
    else
      passedOver.push({
        file: path(name),
        message: `is passed over, as ${name.startsWith('.') ? 'a hidden file' : "an editor's copy"}`,
        hint: 'If it is to be read, give it a name that ends with .sql and begins with a letter.',
      })
  // Without an ending it may have been a folder of models, or checks/.
  for (const name of broken)
    if (ENDING.test(name) || extname(name) === '') problems.push({ file: path(name), ...LEADS_NOWHERE })
  for (const name of files) {
    if (ENDING.test(name) || !isStray(name, below !== '' && /^(checks|\.\.\/macros)/.test(below))) continue
    problems.push({
      file: path(name),
      message: 'is read by nobody: the name of a file of SQL ends with .sql',
    })
  }
  const names = files.filter(name => ENDING.test(name))
  return Promise.all(
    names.map(async name => {
      const bytes = await readFile(join(folder, below, name))
      if (!isUtf8(bytes)) problems.push({ file: path(name), ...NOT_UTF8 })
      return { file: path(name), sql: bytes.toString() }
    }),
  )
}

/** Whether a file was meant to be SQL: by its ending, or since nothing else is where it lies. */
function isStray(name: string, among: boolean): boolean {
  const ending = extname(name).slice(1).toLowerCase()
  return among
    ? ending !== 'md'
    : /\.sql\./i.test(name) || ['sq', 'sqll', 'slq', 'qsl', 'ql', 'sl'].includes(ending)
}

/** Files of SQL that editors and people hide; not those that editors and systems keep for themselves: `.#m.sql`, `._m.sql`. */
const HIDDEN = /^(\.(?![#_]).*\.sql|\.sql|.*\.sql~|#.*\.sql#)$/i

interface Entries {
  files: string[]
  folders: string[]
  broken: string[]
  hidden: string[]
}

// Sorted by code unit, not by locale: the order, and with it the hash, is the same on every machine.
async function entries(path: string): Promise<Entries> {
  const found = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const shown = found.filter(({ name }) => !name.startsWith('.') && !name.endsWith('~'))
  const files: string[] = []
  const folders: string[] = []
  const broken: string[] = []
  for (const entry of shown) {
    // A link is what it leads to.
    const leads = entry.isSymbolicLink() ? await stat(join(path, entry.name)).catch(() => undefined) : entry
    ;(!leads ? broken : leads.isDirectory() ? folders : files).push(entry.name)
  }
  const hidden = found.map(({ name }) => name).filter(name => HIDDEN.test(name))
  return { files: files.sort(), folders: folders.sort(), broken: broken.sort(), hidden: hidden.sort() }
}
