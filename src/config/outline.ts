import { join, resolve } from 'node:path'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import type { JobSpec } from '../spec/job.ts'
import { withDefaults } from './defaults.ts'
import { Document } from './document.ts'
import { readEnrichments } from './enrichments.ts'
import { readFolder } from './folder.ts'
import { ConfigInvalid } from './invalid.ts'
import { fileProblems, readLoads } from './loads.ts'
import { commonExtract, type JobYaml, jobSchema } from './schema.ts'
import { validate } from './validate.ts'

/** What a job's SQL needs to know of it: nothing of its connections. */
export interface JobOutline
  extends Pick<
    JobSpec,
    'job' | 'folder' | 'extracts' | 'models' | 'checks' | 'macros' | 'loads' | 'places' | 'quality'
  > {
  /** Column → type of extracts that declare them, as they are written. */
  declared: Record<string, Record<string, string>>
}

const PARTS = { job: true, extract: true, enrich: true, load: true, quality: true, vars: true } as const

/**
 * Reads a job's folder without its connections: no variable needs to be set, no secret is fetched. Fails with CONFIG_INVALID
 * where what it reads is not valid.
 */
export async function readOutline(folder: string): Promise<JobOutline> {
  const found = await readFolder(folder)
  const document = await Document.open(join(folder, 'job.yaml'), found.yaml)
  const whole = (withDefaults(document) ?? {}) as Record<string, unknown>
  const known = Object.fromEntries(Object.entries(whole).filter(([key]) => Object.hasOwn(PARTS, key)))
  const yaml = validate(document, [], jobSchema.pick(PARTS), known)
  document.throwIfAny()
  const declared: JobOutline['declared'] = {}
  const extracts = Object.entries(yaml!.extract).map(([name, keys]): ExtractSpec => {
    const common = validate(document, ['extract', name], commonExtract.partial(), pickCommon(keys))
    const { schema } = keys as { schema?: Record<string, string> }
    if (schema && Object.values(schema).every(type => typeof type === 'string' && declaredType(type)))
      declared[name] = schema
    const { from = '', key = [], columns = {}, incremental, sensitive = [], on_duplicate } = common ?? {}
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
  const parts = { connections: (whole.connections ?? {}) as JobYaml['connections'], ...yaml! } as JobYaml
  const files = { ...found, models: [...found.models, ...readEnrichments(document, parts, found)] }
  const loads = readLoads(document, parts, {}, files, extracts)
  document.throwIfAny()
  const problems = fileProblems(parts, files)
  if (problems.length > 0)
    throw new ConfigInvalid(problems.map(({ file, message }) => ({ file: join(folder, file), message })))
  const { models, checks, macros } = files
  return {
    job: yaml!.job,
    folder: resolve(folder),
    extracts,
    models,
    checks,
    macros,
    loads,
    places: document.places(),
    quality: { maxErrorRate: yaml!.quality.max_error_rate },
    declared,
  }
}

const COMMON = Object.keys(commonExtract.shape)
// A value that a reference gives is not known here.
const pickCommon = (keys: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(keys).filter(
      ([key, value]) => COMMON.includes(key) && !/\$\{/.test(JSON.stringify(value)),
    ),
  )
