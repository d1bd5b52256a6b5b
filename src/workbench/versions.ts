import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import { EngineError } from '../../engine/errors.ts'
import { Mask } from '../../engine/mask.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import { parquetSql } from '../../engine/sql/files.ts'
import type { OrderedCheck, OrderedModel } from '../../engine/sql/model.ts'
import { stripped } from '../../engine/sql/text.ts'
import { hashOf, queryOf } from '../../engine/transform/basis.ts'
import { openOutline } from '../runs/knownColumns.ts'
import { openMask } from '../runs/mask.ts'
import { CHECK, openModels, openStagedJob, type RowsFound, rejectedTable, type StagedJob } from './staged.ts'
import { described, diffTables, goneBy, keysOf, type TableDiff, type Texts } from './tableDiff.ts'

/** A model as two versions of a job have it. */
export interface ComparedModel {
  name: string
  /** One that the other version has not. */
  isNew?: { rows: number; columns: { name: string; type: string }[]; samples: Texts[] }
  isGone?: true
  /** `goneBy`: rows that are gone since a check rejects them. */
  diff?: TableDiff & {
    retyped: { name: string; before: string; after: string }[]
    goneBy: { by: string; rows: number }[]
  }
}

/** A load or check that one version has, or has otherwise. */
export interface ComparedPart {
  name: string
  state: 'new' | 'changed' | 'gone'
}

/** A check of `table`, or of the night as a whole; what it finds now, which only a run knows of the latter. */
export interface ComparedCheck extends ComparedPart {
  table?: string
  found?: RowsFound['checks']
}

export interface ComparedVersions {
  job: string
  against: string
  /** Models that differ, by text or by what they read; where rows do, their `diff` says so. */
  models: ComparedModel[]
  /** Tables that are loaded. */
  loads: ComparedPart[]
  checks: ComparedCheck[]
  /** How many are the same, and so are what they read. */
  same: number
  /** Models that could not be compared. */
  left: { name: string; reason: string }[]
}

export interface CompareOptions {
  folder: string
  home: string
  env: Record<string, string | undefined>
  /** A branch, tag or commit of git; or a folder that holds the job in another version. */
  against: string
  runAt: Date
}

/**
 * Compares the models of a job with those of another version of it, over what the last run has staged: no source is read.
 * Fails with CONFIG_INVALID where there is no such version, or nothing is staged.
 */
export async function compareVersions(options: CompareOptions): Promise<ComparedVersions> {
  const { folder, home, env, against, runAt } = options
  await using stack = new AsyncDisposableStack()
  const place = stack.adopt(mkdtempSync(join(tmpdir(), 'nightfreight-versions-')), path =>
    rmSync(path, { recursive: true, force: true }),
  )
  const other = await versionOf(folder, against, join(place, 'job'))
  const [own, given] = [await openOutline(folder, home), await openOutline(other, home)]
  if (own.job !== given.job) throw refused(against, `is the job ${given.job}, and ${folder} is ${own.job}`)
  const [now, was] = [
    await openStagedJob(folder, home, runAt, stack, place),
    await openStagedJob(other, home, runAt, stack, place),
  ]
  const masks = [now, was].map(({ outline }) => openMask(home, env, outline))
  const differing = await differingModels(now, was)
  const found: ComparedVersions = {
    job: now.outline.job,
    against,
    models: [],
    loads: comparedLoads(now, was),
    checks: [],
    same: 0,
    left: [],
  }
  const modelsOf = ({ graph }: StagedJob) => graph.models.filter(({ extract }) => !extract)
  found.same = modelsOf(now).filter(({ name }) => !differing.has(name)).length
  found.left = [...(await openModels(now, [...differing])), ...(await openModels(was, [...differing]))]
  const names = (job: StagedJob) => modelsOf(job).map(({ name }) => name)
  for (const name of names(now)) {
    if (!differing.has(name) || found.left.some(each => each.name === name)) continue
    if (names(was).includes(name))
      found.models.push({ name, diff: await diffOf(now, was, name, place, masks) })
    else {
      found.models.push({ name, isNew: await newRows(now, name, masks) })
    }
  }
  found.checks = comparedChecks(now, was)
  for (const name of names(was)) if (!names(now).includes(name)) found.models.push({ name, isGone: true })
  return found
}

/** Names of the tables whose rows may differ between two versions: by their own text and checks, or by what they read. */
async function differingModels(now: StagedJob, was: StagedJob): Promise<Set<string>> {
  const version = await now.context.duck.version()
  const textOf = ({ graph, reads }: StagedJob, model: OrderedModel) => {
    const checks = graph.checks.filter(check => check.model === model.name)
    return hashOf([
      queryOf(model, graph, reads, graph.vars, version).query,
      checks.map(({ sql, columns, limits }) => [sql, columns, limits]),
    ])
  }
  const before = new Map(was.graph.models.map(model => [model.name, textOf(was, model)]))
  const differing = new Set<string>()
  for (const model of now.graph.models) {
    const concerned = [...model.reads, ...model.awaits].some(table => differing.has(table))
    if (concerned || before.get(model.name) !== textOf(now, model)) differing.add(model.name)
  }
  return differing
}

async function diffOf(
  now: StagedJob,
  was: StagedJob,
  name: string,
  place: string,
  masks: Mask[],
): Promise<ComparedModel['diff']> {
  const table = `FROM ${quoteName(name)}`
  const file = join(place, `${name}.parquet`)
  await was.context.duck.copyParquet(`SELECT COLUMNS(*)::VARCHAR ${table}`, file)
  const { duck } = now.context
  const [before, after] = [await described(was.context.duck, table), await described(duck, table)]
  const retyped = after.flatMap(({ name, type }) => {
    const former = before.find(each => each.name === name)
    return former && former.type !== type ? [{ name, before: former.type, after: type }] : []
  })
  const keys = [...keysOf(now.outline, name), ...keysOf(was.outline, name)]
  // What one of the two versions hides, nobody sees.
  const mask = masks.find(each => each !== Mask.none) ?? Mask.none
  const sensitive = masks.flatMap(each => each.columnsOf(name))
  const diff = await diffTables(duck, `FROM ${parquetSql([file])}`, table, { keys, mask, sensitive })
  const isRejected = (now.found.get(name)?.rejected ?? 0) > 0
  const goneRows = diff.removed > 0 && isRejected ? await goneBy(duck, rejectedTable(name), CHECK, keys) : []
  return { ...diff, retyped, goneBy: goneRows }
}

/** Rows of a new model that are shown. */
const SAMPLES = 3

async function newRows({ context }: StagedJob, name: string, masks: Mask[]): Promise<ComparedModel['isNew']> {
  const from = `FROM ${quoteName(name)}`
  const columns = await described(context.duck, from)
  const [count] = await context.duck.rows(`SELECT count(*) AS n ${from}`)
  const rows = await context.duck.rows(`SELECT COLUMNS(*)::VARCHAR ${from} ORDER BY ALL LIMIT ${SAMPLES}`)
  const [mask = Mask.none] = masks
  return {
    rows: Number(count!.n),
    columns,
    samples: rows.map(row => mask.record(mask.columnsOf(name), row as Texts) as Texts),
  }
}

/** What one of two versions has that the other has not, or has otherwise by `textOf`; in the order of the newer one. */
function comparedParts<Part>(
  now: Part[],
  was: Part[],
  nameOf: (part: Part) => string,
  textOf: (part: Part) => unknown,
): { part: Part; state: ComparedPart['state'] }[] {
  const before = new Map(was.map(part => [nameOf(part), part]))
  const names = new Set(now.map(nameOf))
  const stateOf = (part: Part): ComparedPart['state'] | undefined => {
    const former = before.get(nameOf(part))
    if (!former) return 'new'
    return isDeepStrictEqual(textOf(part), textOf(former)) ? undefined : 'changed'
  }
  return [
    ...now.map(part => ({ part, state: stateOf(part) })),
    ...was.filter(part => !names.has(nameOf(part))).map(part => ({ part, state: 'gone' as const })),
  ].flatMap(({ part, state }) => (state ? [{ part, state }] : []))
}

function comparedLoads(now: StagedJob, was: StagedJob): ComparedPart[] {
  const nameOf = ({ to, table }: LoadSpec) => `${to}.${table}`
  return comparedParts(now.outline.loads, was.outline.loads, nameOf, load => load).map(({ part, state }) => ({
    name: nameOf(part),
    state,
  }))
}

function comparedChecks(now: StagedJob, was: StagedJob): ComparedCheck[] {
  const nameOf = ({ name, model = '' }: OrderedCheck) => `${model}\0${name}`
  const textOf = ({ sql, limits }: OrderedCheck) => [stripped(sql), limits]
  return comparedParts(now.graph.checks, was.graph.checks, nameOf, textOf).map(({ part, state }) => {
    const found = part.model === undefined || state === 'gone' ? undefined : now.found.get(part.model)
    return {
      name: part.name,
      state,
      ...(part.model !== undefined && { table: part.model }),
      ...(found && { found: found.checks.filter(({ check }) => check === part.name) }),
    }
  })
}

const refused = (against: string, message: string, cause?: unknown) =>
  new EngineError('CONFIG_INVALID', `--compare ${against}: ${message}`, {
    cause,
    hint: 'Name a branch, a tag or a commit, as git log shows them, or a folder that holds the job in another version.',
  })

const run = promisify(execFile)

/** A folder with the job as a version has it: that folder itself, or what git has of it, put into `place`. */
async function versionOf(folder: string, against: string, place: string): Promise<string> {
  const isJob = (path: string) => existsSync(join(path, 'job.yaml'))
  if (isJob(against)) return against
  const git = async (at: string, ...args: string[]) =>
    (await run('git', ['-C', at, ...args], { maxBuffer: 1 << 28 })).stdout.trim()
  const refuse = (message: string, cause?: unknown) => refused(against, message, cause)
  const own = resolve(folder)
  const prefix = await git(own, 'rev-parse', '--show-prefix').catch(cause => {
    throw refuse(`${folder} is not in a repository of git`, cause)
  })
  const commit = await git(
    own,
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${against}^{commit}`,
  ).catch(cause => {
    throw refuse('git knows no such version', cause)
  })
  // What jobs share lies beside them.
  const [from, job] = prefix === '' ? [own, place] : [dirname(own), join(place, basename(own))]
  const archive = `${place}.tar`
  try {
    await git(from, 'archive', '--format=tar', '-o', archive, commit)
    await run('mkdir', ['-p', place])
    await run('tar', ['-xf', archive, '-C', place])
  } catch (cause) {
    throw refuse(`${folder} could not be read from it`, cause)
  }
  if (!isJob(job)) throw refuse(`has no job in ${folder}`)
  return job
}
