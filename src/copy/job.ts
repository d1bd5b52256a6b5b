import { createHash } from 'node:crypto'
import type { ListedTable } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { identifierOf, isNamed, nameTables, tablesAmong, viewsLeft } from '../config/tableNames.ts'
import { verbatim, yamlOf } from '../config/verbatim.ts'
import { connectorFor } from '../connectors/index.ts'
import type { FoundFile } from './files.ts'
import type { CopyRequest } from './request.ts'
import type { FileKeys } from './set.ts'

/** Variables that hold the two URLs, so that no file does. */
export const VARIABLES = { from: 'COPY_FROM', to: 'COPY_TO' } as const

/** The job that a copy is. */
export interface CopyJob {
  name: string
  /** job.yaml; its URLs are variables. */
  yaml: string
  tables: string[]
  /** Of files: what they were found to be. */
  found?: FoundFile
  /** Views of the source that nobody named, and that are not copied. */
  views?: string[]
  /** Tables that are called otherwise in the target: no two may be one, and none two names. */
  renamed?: { table: string; target: string }[]
}

/** Fails with CONFIG_INVALID where files are asked for what only tables have. */
export function refuseOfFiles(request: CopyRequest): void {
  if (
    request.where !== undefined ||
    request.columns ||
    request.query !== undefined ||
    request.incremental !== undefined ||
    request.lag !== undefined
  )
    throw new EngineError(
      'CONFIG_INVALID',
      '--where, --columns, --query and --incremental are for tables of a database',
      {
        hint: 'Files are copied whole: --save FOLDER writes the job, and a model in it selects.',
      },
    )
}

/** The job of copying files that `keys` say how to read: one table, named after them, or their folder. */
export function fileJob(request: CopyRequest, keys: FileKeys): CopyJob {
  const { from, key, mode, schema } = request
  const name = identifierOf(from.table!.replace(/[*?[\]{}]/g, '')) || 'files'
  if (key.length === 0) refuseKeyless(request, [name])
  const keyed = key.length > 0 && { key }
  return jobOf(request, [name], {
    extract: { [name]: { from: 'source', files: from.files, take: 'all', ...keys, ...keyed } },
    load: {
      [schema === undefined ? name : `${schema}.${name}`]: { to: 'target', from: name, mode, ...keyed },
    },
  })
}

/** The job of copying what a query gives. Fails with CONFIG_INVALID where its table has no name. */
export function queryJob(request: CopyRequest): CopyJob {
  const { query, as, tables, exclude, key, schema, mode } = request
  if (tables.length > 0 || exclude.length > 0)
    throw new EngineError('CONFIG_INVALID', '--query is in place of tables', {
      hint: 'Leave --tables and --exclude out, and ?tables= of the URL.',
    })
  if (as === undefined || identifierOf(as) !== as)
    throw new EngineError(
      'CONFIG_INVALID',
      as === undefined
        ? '--query needs a name for its table'
        : `--as ${as}: a name is letters, digits and _, not a digit first`,
      { hint: 'Say what the target is to call it: --as paid_orders' },
    )
  if (key.length === 0) refuseKeyless(request, [as])
  const keyed = key.length > 0 && { key }
  return jobOf(request, [as], {
    extract: { [as]: { from: 'source', query, ...keyed, ...selected(request) } },
    load: {
      [schema === undefined ? as : `${schema}.${as}`]: { to: 'target', from: as, mode, ...keyed },
    },
  })
}

/** What of a table or query is read, as an extract says it. */
const selected = ({ where, columns, incremental, lag }: CopyRequest) => ({
  ...(where !== undefined && { where }),
  ...(columns && { select: columns }),
  // What a copy leaves in the target is what the source holds: what is gone must be known, too.
  ...(incremental !== undefined && {
    incremental: { column: incremental, ...(lag !== undefined && { lag }), find_deletes: true },
  }),
})

/** Fails with CONFIG_INVALID where flags are given that go with others, or that the target can do nothing with. */
export function refuseAlone({ lag, incremental, as, query, to, indexes, foreignKeys }: CopyRequest): void {
  const { name, capabilities } = connectorFor(to)
  const unkept = [
    ...(indexes && !capabilities.indexes ? ['--indexes'] : []),
    ...(foreignKeys && !capabilities.foreignKeys ? ['--foreign-keys'] : []),
  ].join(' and ')
  if (unkept)
    throw new EngineError(
      'CONFIG_INVALID',
      `${unkept}: a ${name} target keeps none that loads could live with`,
      {
        hint: `Leave ${unkept} out.`,
      },
    )
  if (lag !== undefined && incremental === undefined)
    throw new EngineError('CONFIG_INVALID', '--lag goes with --incremental', {
      hint: 'Name the column: --incremental changed_at --lag 5m',
    })
  if (as !== undefined && query === undefined)
    throw new EngineError('CONFIG_INVALID', '--as goes with --query', {
      hint: "Tables keep their names; another one: --query 'SELECT * FROM orders' --as orders_copy",
    })
}

/** The job of copying tables: those that are asked for, of what the source lists. */
export function tablesJob(request: CopyRequest, listed: ListedTable[]): CopyJob {
  const { tables, exclude, key } = request
  const left = viewsLeft(listed, request).map(({ name }) => name)
  for (const glob of tables)
    if (!listed.some(table => isNamed([glob], table))) throw noSuchTable(glob, listed)
  const chosen = tablesAmong(listed, request)
  if (chosen.length === 0)
    throw new EngineError('TABLE_MISSING', 'there is no table to copy', {
      hint:
        listed.length === 0
          ? 'The user may see none: grant it SELECT.'
          : left.length > 0
            ? viewsHint(left)
            : 'Give other --tables or --exclude.',
    })
  const keyless = chosen.filter(table => table.key.length === 0 && request.key.length === 0)
  refuseKeyless(
    request,
    keyless.map(({ name }) => name),
  )
  const target = request.schema === undefined ? '*' : `${request.schema}.*`
  const named = nameTables(chosen)
  const renamed = named
    .filter(({ table, target }) => target !== table.bare)
    .map(({ table, target }) => ({ table: table.name, target }))
  const job = jobOf(
    request,
    named.map(({ target }) => target),
    {
      extract: {
        '*': {
          from: 'source',
          ...(tables.length > 0 && { tables }),
          ...(exclude.length > 0 && { exclude }),
          ...(key.length > 0 && { key }),
          ...selected(request),
        },
      },
      load: {
        [target]: {
          to: 'target',
          from: '*',
          mode: request.mode,
          ...(request.indexes && { indexes: 'source' }),
          ...(request.foreignKeys && { foreign_keys: 'source' }),
        },
      },
    },
  )
  return { ...job, views: left, renamed }
}

const viewsHint = (views: string[]) =>
  `Views are copied where they are named in full: --tables ${views.slice(0, 5).join(',')}`

function noSuchTable(glob: string, listed: ListedTable[]): EngineError {
  const names = listed.map(({ name }) => name)
  const views = viewsLeft(listed, { tables: [glob], exclude: [] }).map(({ name }) => name)
  if (views.length > 0)
    return new EngineError(
      'TABLE_MISSING',
      `no table is called ${glob}, but ${views.length === 1 ? 'a view is' : 'views are'}`,
      {
        hint: viewsHint(views),
      },
    )
  return new EngineError('TABLE_MISSING', `no table is called ${glob}${didYouMean(glob, names)}`, {
    hint: `Tables there: ${names.slice(0, 20).join(', ') || 'none that this user can see'}.`,
  })
}

function refuseKeyless({ mode }: CopyRequest, keyless: string[]): void {
  if (mode === 'replace' || keyless.length === 0) return
  throw new EngineError(
    'CONFIG_INVALID',
    `--mode ${mode} needs a key, and ${keyless.join(', ')} ${keyless.length === 1 ? 'has' : 'have'} none`,
    { hint: 'Name it: --key id. Or leave --mode out: the target then holds what the source does.' },
  )
}

function jobOf(request: CopyRequest, tables: string[], path: { extract: object; load: object }): CopyJob {
  const { from, to, schema } = request
  // Its name says what is copied where: the same copy goes on from its last.
  const identity = [
    plain(from.url),
    from.files,
    plain(to),
    schema,
    request.tables,
    request.exclude,
    ...(request.as === undefined ? [] : [request.as]),
  ]
  const hash = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 8)
  const name = `${request.as ?? placeOf(from.files ?? from.url)}_to_${placeOf(to)}_${hash}`
  const yaml = yamlOf({
    job: name,
    connections: {
      source: { url: `\${${VARIABLES.from}}` },
      target: { url: `\${${VARIABLES.to}}` },
    },
    extract: verbatim(path.extract),
    load: verbatim(path.load),
  })
  return { name, yaml, tables: tables.map(table => (schema === undefined ? table : `${schema}.${table}`)) }
}

/** What an end is called: its database, file or bucket. */
function placeOf(end: string): string {
  const path = plain(end).replace(/[?#].*$/, '')
  return identifierOf(path.split('/').at(-1)!.split(':').at(-1)!.split('.')[0]!).slice(0, 40) || 'copy'
}

/** A URL without its password: where it is, not how one gets in. */
const plain = (url: string) => url.replace(/^([a-z][a-z0-9+.-]*:\/\/[^:@/]*):[^@/]*@/i, '$1@')
