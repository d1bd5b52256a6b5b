import { EngineError } from '../../engine/errors.ts'
import { type DropOptions, textFormat } from '../drops/options.ts'
import type { DropSource } from '../drops/source.ts'
import { type Format, usualDelimiter } from '../formats/byName.ts'
import { type FileHead, findDialect, findEncoding } from '../formats/dialect.ts'
import { magicOf } from '../formats/magic.ts'
import { asFlags, type FileKeys, optionsOf } from './set.ts'
import { textNotes } from './textNotes.ts'

type Files = DropSource<unknown>

/** Rows that are shown. */
const SHOWN = 3

/** What the first of some files was found to be. */
export interface FoundFile {
  name: string
  /** Others that were looked at, too, and are written alike. */
  others: number
  format: Format
  encoding?: string
  delimiter?: string
  /** Columns and first rows. */
  names?: string[]
  rows?: (string | null)[][]
  /** Types of the columns, where all values were looked at, or the file says them. */
  types?: string[]
  /** What becomes text, and the flag that makes it more. */
  notes: string[]
}

/**
 * How files are written, by how the first ones begin: the keys of their extract that say it, with those that were asked for,
 * and what to show. Fails with CONFIG_INVALID where that cannot be known, and names the flag that says it.
 */
export async function lookAtFiles(
  source: Files,
  files: string[],
  set: FileKeys,
  signal: AbortSignal,
): Promise<{ keys: FileKeys; found?: FoundFile }> {
  const options = optionsOf(files, set)
  const heads = await headsOf(source, options, signal)
  if (heads.length === 0)
    throw new EngineError('TABLE_MISSING', `SRC: no file is called ${files.join(', ')}`, {
      hint: 'Check the path.',
    })
  const compression = heads.map(head => magicOf(head.bytes).compression).find(Boolean)
  if (compression && set.compression === undefined && heads.some(isCsv))
    return lookAtFiles(source, files, { ...set, compression }, signal)
  const filled = heads.filter(({ bytes }) => bytes.length > 0)
  const looked = filled.map(head => ({ head, ...lookAt(head, options, set) }))
  const [first] = looked
  if (!first) return { keys: set }
  const other = looked.find(({ keys }) => JSON.stringify(keys) !== JSON.stringify(first.keys))
  if (other)
    throw new EngineError(
      'CONFIG_INVALID',
      `files are not written alike: ${said(first.found)}; ${said(other.found)}`,
      { hint: 'Copy those that are alike together: name them by a glob of their own.' },
    )
  const keys = { ...first.keys, ...set }
  const sample = first.found.rows ? undefined : await source.sample(optionsOf(files, keys), SHOWN, signal)
  return { keys, found: { ...first.found, ...sample, others: looked.length - 1 } }
}

async function headsOf(source: Files, options: DropOptions, signal: AbortSignal): Promise<FileHead[]> {
  const heads: FileHead[] = []
  for await (const head of source.heads(options, signal)) heads.push(head)
  return heads
}

const isCsv = ({ format }: FileHead) => format === 'csv' || format === 'tsv'

function lookAt(named: FileHead, options: DropOptions, set: FileKeys): { keys: FileKeys; found: FoundFile } {
  const magic = isCsv(named) && set.format === undefined ? magicOf(named.bytes).format : undefined
  const head = { ...named, format: magic ?? named.format }
  const keys: FileKeys = magic ? { format: magic } : {}
  const found: FoundFile = { name: head.name, others: 0, format: head.format, notes: [] }
  if (!isCsv(head) && !/json/.test(head.format)) return { keys, found }
  found.encoding = set.encoding === undefined ? findEncoding(head, asFlags) : options.encoding
  if (found.encoding !== options.encoding) keys.encoding = found.encoding
  const isDump = options.quote === '' && options.escape !== undefined
  if (!isCsv(head) || isDump) return { keys, found }
  const given = {
    delimiter: set.delimiter !== undefined,
    header: set.header !== undefined,
    names: set.schema !== undefined,
  }
  const format = textFormat(options, head.format)
  const { delimiter, names, rows } = findDialect(head, format, found.encoding, given, asFlags)
  if (delimiter !== usualDelimiter(head.format)) keys.delimiter = delimiter
  const columns = names ?? Object.keys(options.schema ?? {})
  const notes = textNotes(columns, rows, options)
  return { keys, found: { ...found, delimiter, names: columns, rows: rows.slice(0, SHOWN), notes } }
}

/** What was found of a file, in a line. */
export function said({ name, others, format, encoding, delimiter }: FoundFile): string {
  const facts = [
    format,
    ...(delimiter === undefined ? [] : [`delimiter ${JSON.stringify(delimiter)}`]),
    ...(encoding === undefined ? [] : [encoding]),
  ]
  return `${name}${others > 0 ? ` (and ${others} more)` : ''}: ${facts.join(', ')}`
}
