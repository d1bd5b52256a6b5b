import { matchesGlob } from 'node:path'
import { z } from 'zod'
import type { CatalogTable, ExtractSpec, ListedTable } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { JobConnection, JobSpec } from '../spec/job.ts'
import type { Document } from './document.ts'
import { type JobYaml, names } from './schema.ts'
import { isNamed, isWildcard, nameTables, type TableName } from './tableNames.ts'
import { validate } from './validate.ts'

/** Keys of an extract of many tables, beside those that each of them gets. */
export const wildcardKeys = z.strictObject({ tables: names.optional(), exclude: names.default([]) })

const wildcardExtract = z.object({ from: z.string(), key: names.default([]), ...wildcardKeys.shape })

/** A table that an extract's glob stands for. */
interface Found {
  pattern: string
  extract: string
  table: TableName
  target: string
  key: string[]
}

/** An extract that an earlier run has read. `catalog`: null where no glob stood for it. */
export interface RememberedExtract extends Pick<ExtractSpec, 'name' | 'key'> {
  catalog: CatalogTable | null | undefined
}

/** Gives the tables of a source. */
export type ListTables = (connection: JobConnection) => Promise<ListedTable[]>

/** A job whose globs have been expanded. */
export type Expanded = JobYaml & {
  /** Names of the extracts that were put in the place of globs, by what sources list. */
  listed: string[]
  /** Extracts that globs stand for. */
  catalog: Record<string, CatalogTable>
  /** Globs that stand for no table. */
  empty: string[]
  /** Globs of which runs of an earlier version alone are known, which do not tell all that they stand for. */
  unclear: string[]
}

/**
 * Puts an extract and a load in the place of each table that globs of a job stand for, as the sources list them. What the
 * job says of a table by name goes before. Where nothing is asked they are what is remembered of them, and what
 * has a glob of which nothing is, is left out. Problems go to the document.
 */
export async function expandWildcards(
  document: Document,
  yaml: JobYaml,
  connections: Record<string, JobConnection>,
  asked: ListTables | RememberedExtract[],
): Promise<Expanded> {
  const patterns = Object.keys(yaml.extract).filter(isWildcard)
  const named = Object.fromEntries(Object.entries(yaml.extract).filter(([name]) => !isWildcard(name)))
  const extract: JobYaml['extract'] = { ...named }
  const isAsked = typeof asked === 'function'
  const isGlobbed = (from: unknown) => patterns.some(pattern => yaml.extract[pattern]!.from === from)
  if (!isAsked)
    for (const { name, key } of asked) {
      const own = ownValue(extract, name)
      // Its source told the key, whether or not a glob stands for it, too.
      if (own && own.key === undefined && isGlobbed(own.from)) extract[name] = { ...own, key }
    }
  const found: Found[] = []
  for (const pattern of patterns)
    found.push(
      ...(isAsked
        ? await putListed(document, pattern, yaml, connections, extract, asked)
        : putRemembered(document, pattern, yaml, extract, asked)),
    )
  const listed = isAsked ? found.map(each => each.extract).filter(name => !Object.hasOwn(named, name)) : []
  const own = Object.keys(named).map(name => underOwnName(name, extract[name]!.key))
  const isUntold = (name: string) =>
    !isAsked && extract[name]!.key === undefined && isGlobbed(extract[name]!.from)
  const load = expandLoads(document, yaml, own, found, isUntold)
  const catalog = Object.fromEntries(
    found.toReversed().map(({ pattern, extract, table: { name, bare, schema, isView }, target }) => {
      const { from } = yaml.extract[pattern] as { from: string }
      return [extract, { from, name, bare, schema, target, ...(isView && { isView }) }]
    }),
  )
  const isUnclear = (pattern: string) =>
    !isAsked && asked.every(isOld) && asked.some(each => isOfGlob(each, pattern, yaml) === undefined)
  const unclear = patterns.filter(isUnclear)
  const empty = patterns.filter(
    pattern => !unclear.includes(pattern) && !found.some(each => each.pattern === pattern),
  )
  return { ...yaml, extract, listed, catalog, empty, unclear, load }
}

/** Of a job whose globs are not expanded: connections that extracts and loads of many tables name, and pools of such extracts. */
export function globsOf(
  { extract, load }: Pick<JobYaml, 'extract' | 'load'>,
  connections: Record<string, JobConnection>,
): JobSpec['globs'] {
  const extracts = Object.entries(extract).flatMap(([name, { from, pool }]) =>
    isWildcard(name) && typeof from === 'string' && ownValue(connections, from)
      ? [{ from, ...(typeof pool === 'string' && { pool }) }]
      : [],
  )
  const loads = Object.entries(load).flatMap(([name, { from, to }]) =>
    isWildcard(name) || isWildcard(from) ? [{ to }] : [],
  )
  return { extracts, loads }
}

/** Puts in the extracts of a glob that its source lists. */
async function putListed(
  document: Document,
  pattern: string,
  yaml: JobYaml,
  connections: Record<string, JobConnection>,
  extract: JobYaml['extract'],
  list: ListTables,
): Promise<Found[]> {
  const path = ['extract', pattern]
  const keys = yaml.extract[pattern]!
  const wanted = validate(document, path, wildcardExtract, keys)
  const connection = wanted && ownValue(connections, wanted.from)
  if (!connection) {
    // What is wrong with a connection has been said of it.
    if (wanted && document.count === 0)
      document.problem(
        [...path, 'from'],
        `extract.${pattern}.from: no connection "${wanted.from}"${didYouMean(wanted.from, Object.keys(connections))}`,
      )
    return []
  }
  const listed = await list(connection).catch((error: unknown) => {
    if (!(error instanceof EngineError) || error.code !== 'CONFIG_INVALID') throw error
    document.problem(path, `extract.${pattern}: ${error.message}`, 'key')
    return []
  })
  const found: Found[] = []
  const all = chosen(document, pattern, wanted, listed)
  const others = new Set<string>()
  for (const [name, own] of Object.entries(extract)) {
    if (own.from !== wanted.from) continue
    const table = String(own.table ?? name)
    const there = listed.find(each => [each.name, `${each.schema}.${each.bare}`].includes(table))
    if (!there) continue
    others.add(there.name)
    if (own.key === undefined && there.key.length > 0) extract[name] = { ...own, key: there.key }
    if (all.includes(there)) found.push({ pattern, table: there, ...underOwnName(name, extract[name]!.key) })
  }
  const tables = all.filter(({ name }) => !others.has(name))
  const { tables: _, exclude, key, ...rest } = keys
  for (const { table, extract: name, target } of nameTables(tables, Object.keys(extract))) {
    const identity = table.key.length > 0 ? table.key : wanted.key
    extract[name] = {
      on_error: 'continue',
      ...rest,
      table: table.name,
      ...(identity.length > 0 && { key: identity }),
    }
    document.derive(['extract', name], path)
    found.push({ pattern, extract: name, table, target, key: identity })
  }
  return found
}

/** Puts in the extracts of a glob that earlier runs have read. */
function putRemembered(
  document: Document,
  pattern: string,
  yaml: JobYaml,
  extract: JobYaml['extract'],
  remembered: RememberedExtract[],
): Found[] {
  const { tables: _, exclude, ...keys } = yaml.extract[pattern]!
  const ours = remembered.filter(each => isOfGlob(each, pattern, yaml))
  return ours.map(({ name, key, catalog }) => {
    const table = catalog ?? calledTable(name)
    const own = ownValue(extract, name)
    if (own) return { pattern, table, ...underOwnName(name, own.key) }
    extract[name] = { ...keys, key }
    document.derive(['extract', name], ['extract', pattern])
    return { pattern, extract: name, table, target: catalog?.target ?? name, key }
  })
}

/** Whether a run of an earlier version has read it, which did not keep what globs stood for, or not of which connection. */
const isOld = ({ catalog }: RememberedExtract) => catalog !== null && catalog?.from === undefined

/** Whether a glob stands for what an earlier run has read; undefined where that is not known. */
function isOfGlob(each: RememberedExtract, pattern: string, yaml: JobYaml): boolean | undefined {
  const { name, catalog } = each
  const { from, tables, exclude } = yaml.extract[pattern]!
  const { data: wanted } = wildcardKeys.safeParse({ tables, exclude })
  const own = ownValue(yaml.extract, name)
  if (!wanted || catalog === null || (own && own.from !== from)) return false
  const froms = Object.keys(yaml.extract)
    .filter(isWildcard)
    .map(glob => String(yaml.extract[glob]!.from))
  // What a reference gives is not known of a job that is read without its connections.
  const isGiven = froms.some(other => other.includes('${'))
  const isOne = froms.every(other => other === from)
  if (catalog && !isOld(each) && (isOne || !isGiven))
    return (isGiven || catalog.from === from) && isWanted(catalog, pattern, wanted)
  const last = pattern.split('.').at(-1)!
  // What else it may be of may have columns that nobody is shown.
  if (!own) return froms.length === 1 ? isNamed([last], calledTable(name)) : undefined
  if (own.query !== undefined) return false
  const table = calledTable(String(own.table ?? name))
  if (table.schema !== '' || !pattern.includes('.')) return isWanted(table, pattern, wanted)
  return isNamed([last], table) ? undefined : false
}

/** A table of which no more is known than how a job calls it: `orders`, `sales.orders`. */
function calledTable(name: string): TableName {
  const [bare, ...schema] = name.split('.').reverse() as [string, ...string[]]
  return { name, bare, schema: schema.reverse().join('.') }
}

/** Whether a glob is a table's name. A view has to be named in full, by `tables`. */
const isMatched = ({ isView, ...table }: TableName, pattern: string, tables: readonly string[] = []) =>
  isNamed([pattern], table) && (!isView || isNamed(tables, { ...table, isView }))

/** Whether a glob with its `tables` and `exclude` stands for a table. */
const isWanted = (
  table: TableName,
  pattern: string,
  { tables, exclude }: z.output<typeof wildcardKeys>,
): boolean =>
  isMatched(table, pattern, tables) && (!tables || isNamed(tables, table)) && !isNamed(exclude, table)

function chosen(
  document: Document,
  pattern: string,
  wanted: z.output<typeof wildcardExtract>,
  listed: ListedTable[],
): ListedTable[] {
  const { tables } = wanted
  const names = listed.map(({ bare }) => bare)
  for (const [at, glob] of (tables ?? []).entries())
    if (listed.length > 0 && !listed.some(table => isNamed([glob], table)))
      document.problem(
        ['extract', pattern, 'tables', at],
        `extract.${pattern}.tables: no table is called ${glob}${didYouMean(glob, names)}`,
      )
  if (!listed.some(table => isMatched(table, pattern, tables)))
    document.problem(
      ['extract', pattern],
      `extract.${pattern}: no table has such a name; there are: ${names.slice(0, 20).join(', ') || 'none that this user can see'}`,
      'key',
    )
  return listed.filter(table => isWanted(table, pattern, wanted))
}

/**
 * `found`: what globs of extracts stand for; `named`: the extracts that have names of their own; `isUntold`: whether a source that
 * was not asked tells the key of one, whose load is left out where it needs a key.
 */
function expandLoads(
  document: Document,
  yaml: JobYaml,
  named: Omit<Found, 'pattern' | 'table'>[],
  found: Found[],
  isUntold: (extract: string) => boolean,
): JobYaml['load'] {
  const load: JobYaml['load'] = {}
  const patterns = Object.entries(yaml.load).filter(
    ([name, { from }]) => isWildcard(name) || isWildcard(from),
  )
  for (const [name, each] of Object.entries(yaml.load))
    if (!patterns.some(([pattern]) => pattern === name)) load[name] = each
  for (const [pattern, each] of patterns) {
    const path = ['load', pattern]
    const loaded = [
      ...found.filter(({ pattern: from }) => from === each.from),
      ...named.filter(({ extract }) => matchesGlob(extract, each.from)),
    ]
    if (pattern.split('*').length !== 2 || pattern.includes('?'))
      document.problem(
        path,
        `load.${pattern}: a load of many tables has one * in its name, for theirs`,
        'key',
      )
    else if (loaded.length === 0 && !Object.hasOwn(yaml.extract, each.from))
      document.problem(
        [...path, 'from'],
        `load.${pattern}.from: no extract "${each.from}"${didYouMean(each.from, Object.keys(yaml.extract).filter(isWildcard)) || '; expected a glob of extracts, such as "*"'}`,
      )
    const isKeyless = ({ key }: { key: string[] }) =>
      each.mode !== 'replace' && key.length === 0 && each.key.length === 0
    const keyless = loaded.filter(one => isKeyless(one) && !isUntold(one.extract))
    if (keyless.length > 0)
      document.problem(
        [...path, 'mode'],
        `load.${pattern}: mode ${each.mode} needs a key, and ${keyless.map(({ extract }) => extract).join(', ')} ${keyless.length === 1 ? 'has' : 'have'} none: give mode: replace, exclude them, or name their key: in extract`,
        'key',
      )
    else
      for (const { extract, target, key } of loaded.filter(one => !isKeyless(one))) {
        const table = pattern.replace('*', () => target)
        if (Object.hasOwn(load, table)) continue
        load[table] = { ...each, from: extract, key: each.key.length > 0 ? each.key : key }
        document.derive(['load', table], path)
      }
  }
  return load
}

/** An extract that has a name of its own is loaded under it. */
const underOwnName = (extract: string, key: unknown) => ({
  extract,
  target: extract,
  key: names.safeParse(key).data ?? [],
})

/** The tables of a connection. Fails with CONFIG_INVALID where it has no catalogue. */
export async function listTables({ connector, config, context }: JobConnection, signal: AbortSignal) {
  const source = connector.capabilities.source ? connector.source!(config, context) : undefined
  try {
    if (source?.tables) return await source.tables(signal)
    throw new EngineError('CONFIG_INVALID', `${connector.name} does not list its tables: name them`)
  } finally {
    await source?.close()
  }
}
