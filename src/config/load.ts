import { dirname, resolve } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { Connector } from '../connectors/declare/define.ts'
import { connectors } from '../connectors/index.ts'
import type { JobConnection, JobSpec } from '../spec/job.ts'
import { readAlerts } from './alerts.ts'
import { readArchive } from './archive.ts'
import { withoutBlock } from './batchProcessing.ts'
import { spelledOut } from './compression.ts'
import { connectTimeouts, readConnectionPools } from './connectionPools.ts'
import { readConnections } from './connections.ts'
import { withDefaults } from './defaults.ts'
import type { Document } from './document.ts'
import { environmentOf } from './environment.ts'
import { environmentNames, inEnvironment, refuseProductions } from './environments.ts'
import { readExtracts } from './extracts.ts'
import { refuseFiles, withDeclared } from './files.ts'
import { readFolder } from './folder.ts'
import { withGiven } from './givenValues.ts'
import { openJob } from './include.ts'
import { readLoads } from './loads.ts'
import { readReport } from './report.ts'
import { readSchedule } from './schedule.ts'
import { type JobYaml, jobSchema } from './schema.ts'
import { readShared } from './shared.ts'
import { withSharedModels } from './sharedModels.ts'
import { validate } from './validate.ts'
import { expandWildcards, globsOf, type ListTables, listTables, type RememberedExtract } from './wildcards.ts'

/** How a job is read. */
export interface LoadOptions {
  registry?: readonly Connector[]
  /** Lets sources be asked for their tables, as globs need; without it, what has a glob is left out. */
  signal?: AbortSignal
  /** Gives the tables of a source, in place of asking it. */
  tables?: ListTables
  /** Extracts that are read, by earlier runs: of these are globs where no source is asked, as in an environment. */
  read?: RememberedExtract[]
}

/**
 * Reads and checks a job's folder. `${VAR}` in job.yaml's values comes from `env`, and from files `.env`. Where
 * NIGHTFREIGHT_ENV names one of its environments, that is what its loads go to. Fails with CONFIG_INVALID and one `file:line:column: message` a line for everything that is wrong.
 */
export async function loadJob(
  folder: string,
  env: Record<string, string | undefined>,
  { registry = connectors, signal, tables, read: known = [] }: LoadOptions = {},
): Promise<JobSpec> {
  const found = await readFolder(folder)
  const environments = environmentNames([found.yaml, ...found.included.map(({ text }) => text)])
  const environment = environments.find(name => name === env.NIGHTFREIGHT_ENV)
  const context = { env: environmentOf(folder, env, environments), folder: resolve(folder) }
  const document = await openJob(folder, found, context)
  const content = spelledOut(
    document,
    withoutBlock(document, withSharedModels(document, withDefaults(document))),
  )
  const written = validate(document, [], jobSchema, content ?? {})
  document.throwIfAny()
  if (!written) throw new EngineError('CONFIG_INVALID', `${document.file} is not valid`)
  const own = environment === undefined ? written : inEnvironment(document, written, environment)

  const shared = await readShared(found.shared, context, sharedNames(own))
  const timeouts = { every: own.timeouts, connect: connectTimeouts(own.connection_pools) }
  const compress = networkCodec(own) !== undefined
  const read = (from: Document, connections: JobYaml['connections'], base: string, at?: string[]) =>
    readConnections(from, connections, base, registry, timeouts, compress, at)
  const connections = {
    ...(shared && read(shared.document, shared.connections, dirname(context.folder))),
    ...read(document, own.connections, context.folder),
  }
  shared?.document.throwIfAny()
  // Names alone: what the connections are has been read.
  const names = Object.fromEntries((shared?.names ?? []).map(name => [name, '']))
  const named = {
    ...own,
    connections: { ...names, ...own.connections },
  }
  const list = tables ?? (signal && ((connection: JobConnection) => listTables(connection, signal)))
  const asked = environment === undefined ? (list ?? known) : known
  const yaml = await expandWildcards(document, named, connections, asked)
  const refuse = (pattern: string, why: string) =>
    document.problem(
      ['extract', pattern],
      `extract.${pattern}: ${why}: run the job once without --env`,
      'key',
    )
  if (environment !== undefined && known.length > 0) {
    for (const pattern of yaml.empty) refuse(pattern, 'no run of production has read a table of it')
    for (const pattern of yaml.unclear)
      refuse(
        pattern,
        'the last run of production is of an earlier version, which did not keep what it stands for',
      )
  }
  const { extracts, pools } = readExtracts(document, yaml, connections)
  const files = await withDeclared(document, yaml, found, folder)
  if (environment !== undefined) {
    const at = ['environments', environment, 'targets']
    const targets = read(document, own.environments[environment]!.targets, context.folder, at)
    document.throwIfAny()
    const productions = { ...env, NIGHTFREIGHT_ENV: undefined }
    const production = await loadJob(folder, productions, { registry, read: known })
    refuseProductions(document, environment, targets, own.load, production)
    Object.assign(connections, targets)
  }
  const loads = readLoads(document, yaml, connections, files, extracts)
  const connectionPools = readConnectionPools(document, yaml.connection_pools, connections, loads)
  const { alerts, secrets: alertSecrets } = readAlerts(document, yaml, resolve(folder))
  const archive = yaml.archive && readArchive(yaml.archive, resolve(folder))
  const report = yaml.report && readReport(document, yaml.report, alerts, resolve(folder))
  const schedule = readSchedule(document, yaml, connections, extracts)
  document.throwIfAny()
  refuseFiles(folder, yaml, files)

  const { models, checks, macros, passedOver } = files
  const { hash, hashes } = withGiven(document, files)
  return {
    ...settings(yaml),
    ...(schedule && { schedule }),
    folder: resolve(folder),
    ...(environment !== undefined && { environment }),
    connections,
    connectionPools,
    extracts,
    globs: globsOf(named, connections),
    pools,
    models,
    checks,
    macros,
    loads,
    ...(archive && { archive }),
    ...(alerts && { alerts }),
    ...(report && { report }),
    secrets: [
      ...new Set([
        ...document.secrets,
        ...(shared?.document.secrets ?? []),
        ...Object.values(connections).flatMap(connection => connection.secrets),
        ...alertSecrets,
        ...(archive?.secrets ?? []),
        ...(report?.secrets ?? []),
      ]),
    ],
    places: document.places(),
    hash,
    files: hashes,
    ...(passedOver.length > 0 && { passedOver }),
  }
}

/** Names that a job may take from the connections that its project shares. */
function sharedNames({ extract, load, schedule, connections }: JobYaml): Set<string> {
  const used = [
    ...Object.values(extract).map(({ from }) => from),
    ...Object.values(load).map(({ to }) => to),
    schedule?.files?.from,
  ]
  return new Set(
    used.filter(name => typeof name === 'string' && !Object.hasOwn(connections, name)) as string[],
  )
}

function settings(yaml: JobYaml & { listed: string[] }) {
  const { sla, resources, chunking, retries, timeout, airflow } = yaml
  const codec = networkCodec(yaml)
  return {
    job: yaml.job,
    vars: yaml.vars,
    listed: yaml.listed,
    ...(sla && {
      sla: {
        ...(sla.max_duration !== undefined && { maxDuration: sla.max_duration }),
        ...(sla.max_data_lag !== undefined && { maxDataLag: sla.max_data_lag }),
        ...(sla.max_error_rate !== undefined && { maxErrorRate: sla.max_error_rate }),
        ...(sla.min_quality_score !== undefined && { minQualityScore: sla.min_quality_score }),
      },
    }),
    quality: { maxErrorRate: yaml.quality.max_error_rate },
    airflow: {
      owner: airflow.owner,
      tags: airflow.tags,
      email: airflow.email,
      retries: airflow.retries,
      retryDelay: airflow.retry_delay,
    },
    resources,
    retries: { limit: retries.limit, delay: retries.delay, maxDelay: retries.max_delay },
    ...(timeout !== undefined && { timeout }),
    recovery: yaml.recovery,
    parallelism: {
      maxParallelExtracts: yaml.parallelism.max_parallel_extracts ?? resources.threads,
      maxParallelTransforms: yaml.parallelism.max_parallel_transforms ?? resources.threads,
      maxParallelLoads: yaml.parallelism.max_parallel_loads,
    },
    chunking,
    ...(codec && { networkCodec: codec }),
    ...(yaml.compression.staging_files && { stagingCodec: yaml.compression.staging_files }),
  }
}

function networkCodec({ compression }: JobYaml) {
  const codec = compression.network_transfer
  return codec === 'none' ? undefined : codec
}
