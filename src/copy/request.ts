import { statSync } from 'node:fs'
import { dirname, isAbsolute, relative, resolve } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { connectorFor } from '../connectors/index.ts'
import { folderOf } from '../connectors/local/store.ts'
import type { FileKeys } from './set.ts'

/** What `nightfreight copy` was asked for, its URLs read. */
export interface CopyRequest {
  from: CopySource
  to: string
  /** Globs of tables that are copied, and of those that are not; none: all. */
  tables: string[]
  exclude: string[]
  /** Schema of the target that tables go to. */
  schema?: string
  /** Columns that identify a row, where the source does not say. */
  key: string[]
  mode: 'replace' | 'merge' | 'append'
  /** Of each table: a condition in the source's SQL, and the only columns that are read. */
  where?: string
  columns?: string[]
  /** In place of tables: a query in the source's SQL, and what its table is called in the target. */
  query?: string
  as?: string
  /** The column that grows with each change of a row: only rows that changed are read, and all keys. */
  incremental?: string
  /** How far before the greatest value it is read again: a duration, or a number for a column of numbers. */
  lag?: string
  /** Of files: how they are written, where that is not found. */
  set?: FileKeys
  /** Whether tables that are made get what their sources have. */
  indexes?: boolean
  foreignKeys?: boolean
}

/** A database, or files below a place (all that a folder holds, where it says so); `table`: what theirs is called where they do not say. */
export type CopySource = { url: string; files?: string; folder?: true; table?: string }

/** What is asked for beside the two ends; what is empty counts as not said. */
export function readRequest(
  from: string,
  to: string,
  asked: Partial<Omit<CopyRequest, 'from' | 'to'>>,
): CopyRequest {
  const { tables = [], exclude = [], key = [], mode = 'replace' } = asked
  const { schema, where, incremental, lag, columns, query, as, indexes, foreignKeys, set } = asked
  const ends = readEnds(from, to)
  return {
    ...ends,
    tables: [...ends.tables, ...tables],
    exclude,
    key,
    mode,
    schema: schema || undefined,
    where: where || undefined,
    columns,
    query,
    as,
    incremental: incremental || undefined,
    lag: lag || undefined,
    set,
    indexes,
    foreignKeys,
  }
}

const FILE = /\.[A-Za-z0-9]+$/

/**
 * Reads the two ends of a copy: URLs, or paths of files. `?tables=a,b` of a database's URL is taken out of it. Fails with
 * CONFIG_INVALID, and the form that would be right; a URL is never shown, since it may hold a password.
 */
export function readEnds(from: string, to: string): { from: CopySource; to: string; tables: string[] } {
  const target = hasScheme(to) ? absolutePath(to) : undefined
  if (target === undefined) throw unknown('DST', `${shown(to)} is no URL`, TARGETS)
  const { name: kind, capabilities: able } = connectorFor(target)
  if (!able.target) throw unknown('DST', `nothing can be loaded by ${kind}`, TARGETS)
  if (!hasScheme(from)) return { from: fileSource(from), to: target, tables: [] }
  const { name, capabilities } = connectorFor(from)
  if (!capabilities.source) throw unknown('SRC', `nothing can be read by ${name}`, `Give ${SOURCES}.`)
  if (name === 's3' || name === 'sftp') return { from: remoteFile(from), to: target, tables: [] }
  if (name === 'local') return { from: fileSource(folderOf(from, process.cwd())), to: target, tables: [] }
  if (name === 'http')
    throw unknown(
      'SRC',
      'an HTTP API does not say how its pages follow each other',
      'Write its job, six lines: docs/connectors/http.md of the package begins with one.',
    )
  // In the names of files a ? is one of theirs, or of a glob.
  const [url, tables] = withoutTables(from)
  return { from: { url: absolutePath(url) }, to: target, tables }
}

const hasScheme = (text: string) => /^[a-z][a-z0-9+.-]+:/i.test(text)

// One that lacks its colon may hold a password as well.
const shown = (text: string) => (text.includes('@') ? 'it' : JSON.stringify(text))

const SOURCES = 'postgres://…, mysql://…, files or a folder of them: on disk, s3://…, sftp://…'
const TARGETS = 'Give duckdb:warehouse.duckdb, lake:./lake, postgres://… or mysql://…'

const unknown = (end: string, why: string, hint: string) =>
  new EngineError('CONFIG_INVALID', `${end}: ${why}`, { hint })

/** Paths in `duckdb:` and `lake:` start at the working folder, not at that of the job that is made. */
function absolutePath(url: string): string {
  const [, scheme, path] = /^(duckdb|lake):(?!s3:)(.*)$/i.exec(url) ?? []
  if (scheme === undefined || path === undefined) return url
  const plain = path.replace(/^\/\//, '')
  return `${scheme}:${isAbsolute(plain) ? plain : resolve(plain)}`
}

function withoutTables(url: string): [string, string[]] {
  const at = url.indexOf('?')
  if (at < 0) return [url, []]
  const query = new URLSearchParams(url.slice(at + 1))
  const tables = (query.get('tables') ?? '').split(',').filter(name => name !== '')
  query.delete('tables')
  return [query.size > 0 ? `${url.slice(0, at)}?${query}` : url.slice(0, at), tables]
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

function fileSource(path: string): CopySource {
  const absolute = resolve(path)
  if (isFolder(absolute)) return { url: `file:${absolute}`, folder: true }
  // A folder that is there is no glob, whatever it is called.
  let folder = dirname(absolute)
  while (/[*?[{]/.test(folder) && !isFolder(folder)) folder = dirname(folder)
  return { url: `file:${folder}`, files: relative(folder, absolute) }
}

function decoded(name: string): string {
  try {
    return decodeURI(name)
  } catch (cause) {
    throw new EngineError('CONFIG_INVALID', `SRC: ${JSON.stringify(name)} is not encoded as URLs are`, {
      cause,
      hint: 'Write %25 for %.',
    })
  }
}

function remoteFile(url: string): CopySource {
  const at = url.lastIndexOf('/')
  const files = decoded(url.slice(at + 1))
  if (!FILE.test(files) && !/[*?]/.test(files)) return { url: url.replace(/\/+$/, ''), folder: true }
  return { url: url.slice(0, at), files }
}
