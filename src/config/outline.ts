import { join, resolve } from 'node:path'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import type { JobSpec } from '../spec/job.ts'
import { isMapping } from '../util/mapping.ts'
import { withDefaults } from './defaults.ts'
import { understoodExtract } from './extracts.ts'
import { fileFaults, withDeclared } from './files.ts'
import { readFolder } from './folder.ts'
import { openJob } from './include.ts'
import { ConfigInvalid } from './invalid.ts'
import { readLoads } from './loads.ts'
import { commonExtract, type JobYaml, jobSchema } from './schema.ts'
import { connectionNames } from './shared.ts'
import { type SharedModel, sharedModelOf, withSharedModels } from './sharedModels.ts'
import { isWildcard } from './tableNames.ts'
import { validate } from './validate.ts'
import { expandWildcards, type RememberedExtract } from './wildcards.ts'

/** What a job's SQL needs to know of it: nothing of its connections. */
export interface JobOutline
  extends Pick<
    JobSpec,
    'vars' | 'job' | 'folder' | 'extracts' | 'models' | 'checks' | 'macros' | 'loads' | 'places' | 'quality'
  > {
  /** Column → type of extracts that declare them, as they are written. */
  declared: Record<string, Record<string, string>>
  /** Extract → the table that it reads, where it says one, or has its name. */
  sourceTables: Record<string, string>
  /** Extract → the model of another job that it reads. */
  sharedModels: Record<string, SharedModel>
  /** Connection → a text that is the same for the same one in other jobs. May hold secrets: compare it, never print it. */
  identities: Record<string, string>
}

const PARTS = {
  job: true,
  extract: true,
  enrich: true,
  load: true,
  quality: true,
  vars: true,
  checks: true,
  seeds: true,
} as const

/** Extracts that earlier runs of a job have read. */
export type Remembered = (job: string) => RememberedExtract[]

/**
 * Reads a job's folder without its connections: no variable needs to be set, no secret is fetched. What globs stand for is
 * what is `remembered` of them. Fails with CONFIG_INVALID where what it reads is not valid.
 */
export async function readOutline(folder: string, remembered: Remembered): Promise<JobOutline> {
  const { outline, faults } = await draftOutline(folder, remembered)
  if (faults.length > 0) throw new ConfigInvalid(faults)
  return outline
}

/** A job as far as it can be understood. */
export interface Draft {
  outline: JobOutline
  faults: Fault[]
  /** Whether there may be other tables than it names: settings that would name them are wrong, or globs. */
  partial: boolean
}

/** The same of a job whose settings may be wrong. Fails with CONFIG_INVALID where they are no YAML. */
export async function draftOutline(folder: string, remembered: Remembered): Promise<Draft> {
  const found = await readFolder(folder)
  const document = await openJob(folder, found)
  const whole = (withSharedModels(document, withDefaults(document)) ?? {}) as Record<string, unknown>
  const known = Object.fromEntries(Object.entries(whole).filter(([key]) => Object.hasOwn(PARTS, key)))
  const valid = validate(document, [], jobSchema.pick(PARTS), known)
  const own = valid ?? understood(known)
  const early = document.faults()
  const shared = connectionNames(found.shared).map(name => [name, ''])
  const connections = { ...Object.fromEntries(shared), ...(whole.connections as JobYaml['connections']) }
  const yaml = await expandWildcards(document, { ...own, connections } as JobYaml, {}, remembered(own.job))
  const declared: JobOutline['declared'] = {}
  const sourceTables: JobOutline['sourceTables'] = {}
  const sharedModels: JobOutline['sharedModels'] = {}
  const extracts = Object.entries(yaml.extract).map(([name, keys]): ExtractSpec => {
    const common = validate(document, ['extract', name], commonExtract.partial(), pickCommon(keys))
    const { schema } = keys as { schema?: Record<string, string> }
    if (schema && Object.values(schema).every(type => typeof type === 'string' && declaredType(type)))
      declared[name] = schema
    const { query, table = name } = keys as { query?: unknown; table?: unknown }
    const model = sharedModelOf(name, keys, connections)
    if (model) sharedModels[name] = model
    if (query === undefined && typeof table === 'string') sourceTables[name] = table
    if (!common) return understoodExtract(name, keys)
    const { from = '', key = [], columns = {}, incremental, sensitive = [], on_duplicate } = common
    return {
      name,
      from,
      key,
      columns,
      options: {},
      ...(on_duplicate && { onDuplicate: on_duplicate }),
      ...(sensitive.length > 0 && { sensitive }),
      ...(incremental && { incremental: { column: incremental.column, lag: incremental.lag } }),
    }
  })
  const files = await withDeclared(document, yaml, found, folder)
  const loads = readLoads(document, yaml, {}, files, extracts)
  const { models, checks, macros } = files
  const outline = {
    job: yaml.job,
    folder: resolve(folder),
    extracts,
    models,
    checks,
    macros,
    loads,
    vars: yaml.vars,
    places: document.places(),
    quality: { maxErrorRate: yaml.quality.max_error_rate },
    declared,
    sourceTables,
    sharedModels,
    identities: Object.fromEntries(
      Object.entries(connections).map(([name, settings]) => [
        name,
        identityOf(name, settings, document.folderOf(['connections', name, 'url']) ?? resolve(folder)),
      ]),
    ),
  }
  // What follows from settings that were left out would be told of those that are right.
  const settled = valid ? document.faults() : early
  return {
    outline,
    faults: [...settled, ...(valid ? fileFaults(folder, yaml, files) : named(folder, found.problems))],
    partial:
      Object.keys(own.extract).length === 0 ||
      (['extract', 'enrich'] as const).some(key => Object.keys(known[key] ?? {}).some(isLost(own[key]))),
  }
}

const named = (folder: string, faults: Fault[]): Fault[] =>
  faults.map(fault => ({ ...fault, file: join(folder, fault.file) }))

const isLost = (read: object) => (name: string) => isWildcard(name) || !Object.hasOwn(read, name)

/** Of parts that are not valid as a whole, what is. */
function understood(parts: Record<string, unknown>): Outlined {
  const found: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(jobSchema.pick(PARTS).shape)) {
    const valid = (value: unknown) => schema.safeParse(value)
    const part = parts[key]
    const entries = isMapping(part) ? Object.entries(part) : []
    const rest = Object.fromEntries(entries.filter(([name, value]) => valid({ [name]: value }).success))
    const read = [part, rest, undefined].map(valid).find(({ success }) => success)
    found[key] = read?.data ?? ''
  }
  return found as Outlined
}

type Outlined = Pick<JobYaml, keyof typeof PARTS>

/** Two jobs have the same connection where they share it, or write the same settings; a path is that from `folder`. */
function identityOf(name: string, settings: unknown, folder: string): string {
  if (settings === '') return `shared ${name}`
  const url = isMapping(settings) ? settings.url : settings
  const path = typeof url === 'string' ? /^([a-z0-9]+):(?!\/\/)(.+)$/i.exec(url) : null
  return path ? `${path[1]}:${resolve(folder, path[2]!)}` : JSON.stringify(settings)
}

const COMMON = Object.keys(commonExtract.shape)
// A value that a reference gives is not known here.
const pickCommon = (keys: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(keys).filter(
      ([key, value]) => COMMON.includes(key) && !/\$\{/.test(JSON.stringify(value)),
    ),
  )
