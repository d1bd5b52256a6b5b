import { z } from 'zod'
import type { DriftPolicy } from '../../engine/contracts/source.ts'
import { LAST_VALUES, RUN_AT } from '../../engine/sql/ownVariables.ts'
import type { InexactPolicy } from '../../engine/types/logical.ts'
import { declaredTypeName } from '../connectors/declare/declared.ts'
import { DEFAULT_TIMEOUTS } from '../connectors/declare/define.ts'
import { Cron } from '../schedule/cron.ts'
import { timeIn, Zone } from '../schedule/zone.ts'
import { KINDS } from '../spec/alert.ts'
import { parseBytes, parseDuration, parseNumber } from '../util/units.ts'
import { archiveSchema } from './archive.ts'
import { BATCH_KEYS } from './batchProcessing.ts'
import { checksSchema, scalar as variable } from './checksSchema.ts'
import { compressionSchema } from './compression.ts'
import { connectionPoolsSchema } from './connectionPools.ts'
import { reportSchema } from './report.ts'
import { chunkingSchema, resourcesSchema } from './resources.ts'

/** A scalar read by `parse`, which returns undefined for what it cannot read. */
function scalar<T>(expected: string, parse: (value: unknown) => T | undefined) {
  return z
    .unknown()
    .meta({ description: expected })
    .transform((value, context): T => {
      const parsed = parse(value)
      if (parsed !== undefined) return parsed
      context.addIssue({ code: 'custom', message: `expected ${expected}` })
      return z.NEVER
    })
}

const within = (min: number, max: number) => (value: unknown) => {
  const number = parseNumber(value)
  return number !== undefined && number >= min && number <= max ? number : undefined
}
const positive = scalar('a number above 0', within(Number.MIN_VALUE, Number.MAX_SAFE_INTEGER))
const share = scalar('a number from 0 to 1', within(0, 1))
const count = scalar('a whole number from 1', value => {
  const number = within(1, Number.MAX_SAFE_INTEGER)(value)
  return Number.isInteger(number) ? number : undefined
})
const fromZero = scalar('a whole number from 0', value => {
  const number = within(0, Number.MAX_SAFE_INTEGER)(value)
  return Number.isInteger(number) ? number : undefined
})
const millis = scalar('a duration such as 30s, 5m or 6h', value => {
  const micros = typeof value === 'string' ? parseDuration(value) : value === 0 ? 0 : undefined
  return micros === undefined ? undefined : micros / 1000
})
const seconds = scalar('a number of seconds, or a duration such as 30s', value => {
  const number = within(1, 86_400)(value)
  if (number !== undefined) return number * 1000
  const micros = typeof value === 'string' ? parseDuration(value) : undefined
  return micros ? micros / 1000 : undefined
})
const interval = scalar('a duration from 1s on, such as 10s or 5m', value => {
  const micros = typeof value === 'string' ? parseDuration(value) : undefined
  return micros !== undefined && micros >= 1_000_000 ? micros / 1000 : undefined
})
const lag = scalar("a duration such as 5m, or a whole number for an integer column's units", value => {
  const units = parseNumber(value)
  if (units !== undefined) return Number.isSafeInteger(units) && units >= 0 ? units : undefined
  return typeof value === 'string' ? parseDuration(value) : undefined
})
const bytes = scalar('a size such as 512MB or 1GB', value =>
  typeof value === 'string' ? parseBytes(value) : undefined,
)
/** What may happen to a value that its type cannot hold. */
export const POLICIES: readonly InexactPolicy[] = ['null', 'fail', 'quarantine', 'text']
const policy = scalar('null, fail, quarantine or text', value =>
  POLICIES.find(name => name === (value === null ? 'null' : value)),
)
/** One name, or a list of them. */
export const names = z
  .union([z.string().min(1), z.array(z.string().min(1))])
  .transform(value => (typeof value === 'string' ? [value] : value))
  .refine(list => new Set(list.map(name => name.toLowerCase())).size === list.length, {
    error: 'names one twice',
  })
const cron = scalar('a cron expression of 5 fields that comes true, such as "0 2 * * *"', value => {
  try {
    const text = typeof value === 'string' ? value.trim() : ''
    return new Cron(text, 'UTC').next(new Date()) && text
  } catch {
    return undefined
  }
})
const timezone = scalar('an IANA time zone, such as Europe/Berlin', value => {
  try {
    return typeof value === 'string' && new Intl.DateTimeFormat('en', { timeZone: value }) ? value : undefined
  } catch {
    return undefined
  }
})

const time = scalar('a time such as 2026-01-31 or 2026-01-31T02:00', value =>
  typeof value === 'string' && timeIn(new Zone('UTC'), value) ? value : undefined,
)
const whole = scalar('a whole number', value => {
  const number = parseNumber(value)
  return Number.isInteger(number) ? number : undefined
})

/** Names that become tables of models and parts of paths. */
export const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/

const evolves = z.enum(['evolve', 'fail'])
const changes = z.enum(['evolve', 'ignore', 'fail'])
const drift = z.union([
  z
    .literal('fail')
    .transform((fail): DriftPolicy => ({ added: fail, dropped: fail, widened: fail, incompatible: fail })),
  z.strictObject({
    added: changes.optional(),
    dropped: changes.optional(),
    widened: evolves.optional(),
    incompatible: evolves.optional(),
  }),
])

const onDuplicate = z.enum(['fail', 'quarantine', 'newest'])
const onError = z.enum(['fail', 'continue'])

/** The keys that every extract may have; all others are its connector's. */
export const commonExtract = z.strictObject({
  from: z.string(),
  key: names.default([]),
  incremental: z
    .strictObject({
      column: z.string(),
      lag: lag.default(0),
      param: z.string().optional(),
      find_deletes: z.boolean().default(false),
      nulls: z.enum(['read', 'fail']).default('read'),
      future: z.enum(['read', 'fail']).default('read'),
    })
    .optional(),
  mode: z.enum(['read', 'changes']).default('read'),
  history: z.boolean().default(false),
  reconcile: millis.optional(),
  columns: z.record(z.string(), policy).default({}),
  on_duplicate: onDuplicate.optional(),
  on_error: onError.default('fail'),
  sensitive: names.default([]),
  drift: drift.optional(),
  refresh: millis.optional(),
  pool: z.string().optional(),
})

/** Names of the columns of a history. */
export const historyColumns = z.strictObject({
  valid_from: z.string().min(1).default('valid_from'),
  valid_to: z.string().min(1).default('valid_to'),
  current: z.string().min(1).default('is_current'),
})

const load = z.strictObject({
  to: z.string(),
  from: z.string(),
  key: names.default([]),
  mode: z.enum(['append', 'merge', 'replace', 'partition', 'scd2']).default('merge'),
  newer: z.string().optional(),
  insert_only: names.default([]),
  stamp: z.string().optional(),
  deletes: z.enum(['keep', 'hard', 'soft']).default('keep'),
  deleted_at: z.string().min(1).optional(),
  partition_by: names.default([]),
  partitions: z.strictObject({ every: z.enum(['day', 'month', 'year']), keep: count.optional() }).optional(),
  compare: names.default([]),
  ignore: names.default([]),
  scd2: historyColumns.optional(),
  guard: z
    .strictObject({ max_delete_share: share.default(0.1), allow_empty: z.boolean().default(false) })
    .prefault({}),
  batch_rows: count.optional(),
  verify: z.enum(['changes', 'all', 'off']).default('changes'),
  on_bad_row: z.enum(['fail', 'quarantine']).default('fail'),
  schema: z.enum(['evolve', 'apply-safe', 'manual']).default('apply-safe'),
  indexes: z.union([z.literal('source'), z.array(names)]).optional(),
  foreign_keys: z.literal('source').optional(),
  on_duplicate: onDuplicate.optional(),
  on_error: onError.optional(),
  sensitive: names.optional(),
})

/** A file with a function of a job. */
export const FUNCTION_FILE = /^enrich\/(?!(.*\/)?\.\.?\/)[^\\:]+\.m?[jt]s$/

/** A table of rows with what SQL cannot make of them: of a kind that is ours, or by a file of the job's. */
const enrichment = z
  .strictObject({
    kind: z.enum(['phone']).optional(),
    file: z
      .string()
      .regex(FUNCTION_FILE, 'expected a file of TypeScript in enrich/: enrich/geo.ts')
      .optional(),
    from: z.string(),
    /** Columns of `from`, of a kind that is ours. */
    value: z.string().min(1).optional(),
    country: z.string().min(1).optional(),
  })
  .refine(({ kind, file }) => (kind === undefined) !== (file === undefined), {
    message: 'expected either kind or file',
  })
  .refine(({ file, value, country }) => file === undefined || (value ?? country) === undefined, {
    path: ['file'],
    message: 'expected no value and country beside file: it says itself which columns it takes',
  })

type Channels = z.ZodDefault<typeof names>

/** One of email, webhook and command; the rest is of that kind. */
const channel = z.strictObject({
  email: names.optional(),
  smtp: z.string().min(1).optional(),
  from: z.string().min(1).optional(),
  webhook: z.string().min(1).optional(),
  format: z.enum(['slack', 'json']).optional(),
  command: names.optional(),
})

const connectionsSchema = z.record(z.string(), z.union([z.string(), z.record(z.string(), z.unknown())]))

/** Where the loads of a job go in place of production's targets, by the names of these. */
const environmentsSchema = z
  .record(
    z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_-]*$/, 'expected names of letters, digits, _ and -'),
    z.strictObject({ targets: connectionsSchema }),
  )
  .default({})

/** connections.yaml, which the jobs of a project share. */
export const sharedSchema = z.strictObject({ connections: connectionsSchema })

/** Variables that every job has; DuckDB's names ignore case. */
const OWN_VARIABLES = new Map([
  [RUN_AT, "run_at is the run's own time"],
  [LAST_VALUES, 'last_values is what checks gave in the last run'],
])

/** job.yaml, but for connections and extracts, whose keys depend on their connectors; see {@link jobSchema}. */
const jobKeys = z.strictObject({
  include: names.optional(),
  job: scalar('a name of letters, digits, _ and -', value =>
    typeof value === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(value) ? value : undefined,
  ),
  schedule: z
    .strictObject({
      cron: cron.optional(),
      timezone: timezone.default('UTC'),
      start: time.optional(),
      catchup: z.boolean().default(false),
      max_active_runs: count.default(1),
      depends_on_past: z.boolean().default(false),
      after: names.optional(),
      files: z.strictObject({ from: z.string(), match: z.string().min(1) }).optional(),
      follow: z.strictObject({ every: interval.default(10_000), rows: count.default(50_000) }).optional(),
      priority: whole.optional(),
    })
    .refine(({ cron, after, files, follow }) => [cron, after, files, follow].some(key => key !== undefined), {
      message: 'expected cron, after (other jobs), files (that arrive) or follow (logs of changes)',
    })
    .refine(
      ({ cron, after, files, follow }) => !follow || [cron, after, files].every(key => key === undefined),
      { path: ['follow'], message: 'expected follow alone, without cron, after or files' },
    )
    .refine(({ max_active_runs, follow }) => !follow || max_active_runs === 1, {
      path: ['max_active_runs'],
      message: 'expected 1: a log is read by one run at a time',
    })
    .refine(({ catchup, files, follow }) => !catchup || (files ?? follow) === undefined, {
      path: ['catchup'],
      message: 'expected false: of files and logs no interval is missed, each run takes all that has come',
    })
    .refine(({ cron, files }) => cron === undefined || files === undefined, {
      path: ['files'],
      message: 'expected either cron or files',
    })
    .optional(),
  connections: connectionsSchema.default({}),
  environments: environmentsSchema,
  defaults: z
    .strictObject({
      extract: z.record(z.string(), z.unknown()).default({}),
      load: z.record(z.string(), z.unknown()).default({}),
    })
    .prefault({}),
  vars: z
    .record(z.string().regex(IDENTIFIER, 'expected names of letters, digits and _'), variable)
    .superRefine((vars, context) => {
      const taken = new Map(OWN_VARIABLES)
      for (const name of Object.keys(vars)) {
        const other = taken.get(name.toLowerCase())
        if (other !== undefined)
          context.addIssue({ code: 'custom', path: [name], message: `expected another name: ${other}` })
        taken.set(name.toLowerCase(), `${name} is the same to SQL`)
      }
    })
    .default({}),
  extract: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  enrich: z.record(z.string(), enrichment).default({}),
  load: z.record(z.string(), load).default({}),
  seeds: z.record(z.string(), z.record(z.string().min(1), declaredTypeName)).default({}),
  checks: checksSchema.default({}),
  quality: z.strictObject({ max_error_rate: share.default(0.05) }).prefault({}),
  sla: z
    .strictObject({
      max_duration: millis.optional(),
      max_data_lag: millis.optional(),
      max_error_rate: share.optional(),
      min_quality_score: share.optional(),
    })
    .optional(),
  alerts: z
    .strictObject({
      channels: z.record(z.string(), channel),
      on: z
        .strictObject(
          Object.fromEntries(KINDS.map(kind => [kind, names.default([])])) as Record<
            (typeof KINDS)[number],
            Channels
          >,
        )
        .prefault({}),
      repeat_after: millis.default(3600_000),
    })
    .optional(),
  resources: resourcesSchema({ bytes, count, positive }),
  /** How long one kind of waiting may take. */
  timeouts: z
    .strictObject({
      silence: millis.default(DEFAULT_TIMEOUTS.silence),
      lock: millis.default(DEFAULT_TIMEOUTS.lock),
    })
    .prefault({}),
  parallelism: z
    .strictObject({
      max_parallel_extracts: count.optional(),
      max_parallel_transforms: count.optional(),
      max_parallel_loads: count.default(2),
    })
    .prefault({}),
  retries: z
    .strictObject({
      limit: fromZero.default(2),
      delay: millis.default(30_000),
      max_delay: millis.default(900_000),
    })
    .prefault({}),
  timeout: millis.optional(),
  archive: archiveSchema(millis).optional(),
  report: reportSchema(names.default([])).optional(),
  /** What a DAG of the job says, see `nightfreight airflow export`. */
  airflow: z
    .strictObject({
      owner: z.string().min(1).default('nightfreight'),
      tags: names.default([]),
      email: names.default([]),
      retries: fromZero.default(2),
      retry_delay: millis.default(900_000),
    })
    .prefault({}),
  recovery: z
    .strictObject({
      auto: z.boolean().default(false),
      limit: count.default(3),
      delay: millis.default(300_000),
    })
    .prefault({}),
  chunking: chunkingSchema({ bytes, count, positive }),
  connection_pools: connectionPoolsSchema(count, seconds),
  compression: compressionSchema,
})

/** What stands below `batch_processing` is read as if it stood at the top. */
export const jobSchema = jobKeys.extend({
  batch_processing: jobKeys
    .pick(Object.fromEntries(BATCH_KEYS.map(key => [key, true])) as Record<(typeof BATCH_KEYS)[number], true>)
    .optional(),
})

export type JobYaml = z.output<typeof jobSchema>
