import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { errorData } from '../../engine/errors.ts'
import type { EndedJob } from '../runs/options.ts'
import type { JobConnection } from '../spec/job.ts'
import { ask } from '../util/ask.ts'
import { type ColumnId, idOf, openJobLineage, type ProjectLineage, type ProjectTable } from './lineage.ts'
import { madeFrom, walk } from './trace.ts'

/** Milliseconds that a receiver may take for an event. */
const PATIENCE_MS = 10_000
const PRODUCER = 'https://www.npmjs.com/package/nightfreight'

/** A data set by OpenLineage's rules of naming: https://openlineage.io/docs/spec/naming */
interface Dataset {
  namespace: string
  name: string
}

/**
 * Tells OpenLineage's receiver of a run that has ended: its tables with their columns, what each loaded column is made of,
 * how many rows were loaded. Settings beside the `url` are those of OpenLineage's own clients. Never throws: what fails is
 * told.
 */
export async function sendLineage(
  url: string,
  env: Record<string, string | undefined>,
  home: string,
  ended: EndedJob,
): Promise<void> {
  const { OPENLINEAGE_API_KEY: key, OPENLINEAGE_NAMESPACE: namespace = 'nightfreight' } = env
  try {
    const endpoint = new URL(
      env.OPENLINEAGE_ENDPOINT ?? 'api/v1/lineage',
      url.endsWith('/') ? url : `${url}/`,
    )
    const lineage = await openJobLineage(ended.spec.folder, home)
    for (const event of eventsOf(ended, lineage, namespace)) await post(endpoint, key, event)
  } catch (failure) {
    ended.note(`the lineage was not sent: ${errorData(failure).message}`)
  }
}

async function post(endpoint: URL, key: string | undefined, event: object): Promise<void> {
  const answer = await ask(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(event),
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  if (!answer.ok) throw new Error(`the receiver answered ${answer.status}`)
}

/** How the run began, and how it ended: the second says what it read and made. */
function eventsOf(
  { spec, record, outcome, error, at }: EndedJob,
  lineage: ProjectLineage,
  namespace: string,
) {
  const common = {
    run: {
      runId: uuidOf(record.run),
      facets: {
        nominalTime: facet('1-0-1/NominalTimeRunFacet', {
          nominalStartTime: record.interval_start ?? record.run_at,
        }),
        ...(error !== undefined && {
          errorMessage: facet('1-0-1/ErrorMessageRunFacet', {
            message: errorData(error).message,
            programmingLanguage: 'SQL',
          }),
        }),
      },
    },
    job: {
      namespace,
      name: spec.job,
      facets: {
        jobType: facet('2-0-3/JobTypeJobFacet', {
          processingType: 'BATCH',
          integration: 'NIGHTFREIGHT',
          jobType: 'JOB',
        }),
      },
    },
    producer: PRODUCER,
    schemaURL: 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent',
  }
  const table = (name: string) => lineage.tables.get(idOf(spec.job, name))
  const sources = new Map<string, Dataset>()
  // Which tables a query reads is the server's to know.
  const named = spec.extracts.filter(
    ({ options }) => (options as Record<string, unknown>).query === undefined,
  )
  const inputs = named.map(({ name, from, options }) => {
    const { table: own = name, files = own, path = files } = options as Record<string, unknown>
    const dataset = datasetOf(spec.connections[from]!, String(path))
    sources.set(idOf(spec.job, name), dataset)
    return { ...dataset, facets: schemaFacet(table(name)) }
  })
  const outputs = spec.loads.map(load => {
    const made = table(`${load.to}.${load.table}`)
    const loaded = outcome.loaded.find(each => each.table === load.table && each.to === load.to)
    return {
      ...datasetOf(spec.connections[load.to]!, load.table),
      facets: { ...schemaFacet(made), ...(made && { columnLineage: columnFacet(made, lineage, sources) }) },
      ...(loaded && {
        outputFacets: {
          outputStatistics: facet('1-0-2/OutputStatisticsOutputDatasetFacet', {
            rowCount: loaded.inserted + loaded.updated,
          }),
        },
      }),
    }
  })
  return [
    { ...common, eventType: 'START', eventTime: record.started_at, inputs: [], outputs: [] },
    {
      ...common,
      eventType: error === undefined ? 'COMPLETE' : 'FAIL',
      eventTime: at.toISOString(),
      inputs,
      outputs,
    },
  ]
}

const facet = (schema: string, content: object) => ({
  _producer: PRODUCER,
  _schemaURL: `https://openlineage.io/spec/facets/${schema}.json`,
  ...content,
})

const schemaFacet = (table: ProjectTable | undefined) =>
  table &&
  table.columns.length > 0 && {
    schema: facet('1-1-1/SchemaDatasetFacet', {
      fields: table.columns.map(({ name, type }) => ({ name, ...(type && { type }) })),
    }),
  }

/** What each column of a loaded table is made of, in the job's sources. */
function columnFacet(made: ProjectTable, lineage: ProjectLineage, sources: ReadonlyMap<string, Dataset>) {
  // What another job loads into a source is told of by its own runs.
  const above = (each: ColumnId) => (sources.has(each.table) ? [] : madeFrom(lineage, each))
  const rootsOf = (column: string) =>
    walk({ table: made.id, column }, above).flatMap(({ table, column }) => {
      const source = sources.get(table)
      return source ? [{ ...source, field: column }] : []
    })
  return facet('1-2-0/ColumnLineageDatasetFacet', {
    fields: Object.fromEntries(made.columns.map(({ name }) => [name, { inputFields: rootsOf(name) }])),
  })
}

const PORTS: Record<string, string> = { postgres: '5432', mysql: '3306', sftp: '22' }

function datasetOf({ connector, config, context }: JobConnection, what: string): Dataset {
  const { url: given } = config as { url: string }
  const text = given.replace(/^lake:/i, '')
  const scheme = connector.name
  if (text.startsWith('s3:')) {
    const [, bucket = '', prefix = ''] = /^s3:\/\/(?:[^/]*@)?([^/]+)\/?(.*)$/.exec(text) ?? []
    return { namespace: `s3://${bucket}`, name: [prefix.replace(/\/$/, ''), what].filter(Boolean).join('/') }
  }
  if (Object.hasOwn(PORTS, scheme)) {
    const { hostname, port, pathname } = new URL(text)
    const database = decodeURIComponent(pathname.slice(1))
    const namespace = `${scheme}://${hostname}:${port || PORTS[scheme]}`
    if (scheme === 'sftp') return { namespace, name: [pathname.replace(/\/$/, ''), what].join('/') }
    if (scheme === 'mysql') return { namespace, name: what.includes('.') ? what : `${database}.${what}` }
    return { namespace, name: `${database}.${what.includes('.') ? what : `public.${what}`}` }
  }
  if (scheme === 'http') {
    const { origin, pathname } = new URL(text)
    return { namespace: origin, name: `${pathname.replace(/\/$/, '')}${what}` }
  }
  const place = resolve(context.baseDir, text.replace(/^(duckdb|file):(\/\/(?=\/))?/i, ''))
  return { namespace: 'file', name: `${place}/${what}` }
}

/** OpenLineage wants a UUID: version 5 of the run's name (RFC 9562). */
function uuidOf(run: string): string {
  const bytes = createHash('sha1').update(`nightfreight run ${run}`).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
