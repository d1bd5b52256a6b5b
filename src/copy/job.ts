import { createHash } from 'node:crypto'
import { matchesGlob } from 'node:path'
import { stringify } from 'yaml'
import type { ListedTable } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import type { CopyRequest } from './request.ts'

/** Variables that hold the two URLs, so that no file does. */
export const VARIABLES = { from: 'COPY_FROM', to: 'COPY_TO' } as const

/** The job that a copy is. */
export interface CopyJob {
  name: string
  /** job.yaml; its URLs are variables. */
  yaml: string
  tables: string[]
}

/** The job of copying files: one table, named after them. */
export function fileJob(request: CopyRequest): CopyJob {
  const base = request.from
    .files!.split('/')
    .at(-1)!
    .split('.')[0]!
    .replace(/[*?[\]{}]/g, '')
  const name = identifierOf(base) || 'files'
  return jobOf(request, [
    { extract: name, own: { files: request.from.files, take: 'all' }, table: name, key: request.key },
  ])
}

/** The job of copying tables: those that are asked for, of what the source lists. */
export function tablesJob(request: CopyRequest, listed: ListedTable[]): CopyJob {
  const { tables, exclude } = request
  const isNamed = (globs: string[], { name, bare }: ListedTable) =>
    globs.some(glob => matchesGlob(name, glob) || matchesGlob(bare, glob))
  for (const glob of tables)
    if (!listed.some(table => isNamed([glob], table)))
      throw new EngineError(
        'TABLE_MISSING',
        `no table is called ${glob}${didYouMean(
          glob,
          listed.map(({ name }) => name),
        )}`,
        {
          hint: `Tables there: ${
            listed
              .map(({ name }) => name)
              .slice(0, 20)
              .join(', ') || 'none that this user can see'
          }.`,
        },
      )
  const chosen = listed.filter(
    table => (tables.length === 0 || isNamed(tables, table)) && !isNamed(exclude, table),
  )
  if (chosen.length === 0)
    throw new EngineError('TABLE_MISSING', 'there is no table to copy', {
      hint:
        listed.length === 0 ? 'The user may see none: grant it SELECT.' : 'Give other --tables or --exclude.',
    })
  const names = new Set<string>()
  const unique = (wanted: string) => {
    let name = wanted
    for (let n = 2; names.has(name.toLowerCase()); n++) name = `${wanted}_${n}`
    names.add(name.toLowerCase())
    return name
  }
  return jobOf(
    request,
    chosen.map(({ name, bare, key }) => {
      const alone = chosen.filter(other => other.bare.toLowerCase() === bare.toLowerCase()).length === 1
      const extract = unique(identifierOf(alone ? bare : name) || 'table')
      return {
        extract,
        own: { table: name },
        table: alone ? bare : extract,
        key: key.length > 0 ? key : request.key,
      }
    }),
  )
}

interface Copied {
  extract: string
  /** The extract's own keys. */
  own: object
  table: string
  key: string[]
}

function jobOf(request: CopyRequest, copied: Copied[]): CopyJob {
  const { from, to, schema, mode } = request
  const target = (table: string) => (schema === undefined ? table : `${schema}.${table}`)
  const keyless = copied.filter(({ key }) => key.length === 0)
  if (mode !== 'replace' && keyless.length > 0)
    throw new EngineError(
      'CONFIG_INVALID',
      `--mode ${mode} needs a key, and ${keyless.map(({ table }) => table).join(', ')} has none`,
      { hint: 'Name it: --key id. Or leave --mode out: the target then holds what the source does.' },
    )
  // Its name says what is copied where: the same copy goes on from its last.
  const identity = [plain(from.url), from.files, plain(to), schema, request.tables, request.exclude]
  const name = `copy_${createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 10)}`
  const yaml = stringify({
    job: name,
    connections: {
      source: { url: `\${${VARIABLES.from}}` },
      target: { url: `\${${VARIABLES.to}}` },
    },
    extract: Object.fromEntries(
      copied.map(({ extract, own, key }) => [
        extract,
        { from: 'source', ...own, ...(key.length > 0 && { key }) },
      ]),
    ),
    load: Object.fromEntries(
      copied.map(({ extract, table, key }) => [
        target(table),
        { to: 'target', from: extract, mode, ...(key.length > 0 && { key }) },
      ]),
    ),
  })
  return { name, yaml, tables: copied.map(({ table }) => target(table)) }
}

const identifierOf = (name: string) =>
  name
    .replace(/[^A-Za-z0-9_]+/g, '_')
    .replace(/^(\d)/, '_$1')
    .replace(/^_+$/, '')

/** A URL without its password: where it is, not how one gets in. */
const plain = (url: string) => url.replace(/^([a-z][a-z0-9+.-]*:\/\/[^:@/]*):[^@/]*@/i, '$1@')
