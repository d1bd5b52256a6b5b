import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Enrichment } from '../../engine/contracts/enrichment.ts'
import { didYouMean, nearest } from '../../engine/nearest.ts'
import { moduleFacts } from '../../engine/pool/moduleFacts.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { placeOf } from '../../engine/sql/text.ts'
import { modelColumn } from '../../engine/types/duckType.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import { ENRICH } from './folder.ts'

const PARTS = ['takes', 'gives', 'enrich']

/**
 * What functions of a job's folder take and give, by file (`enrich/geo.ts`): each is loaded, and not called. Those that are not
 * what they are to be are told, and left out.
 */
export async function readFunctions(
  folder: string,
  files: string[],
): Promise<{ functions: Map<string, Enrichment>; faults: Fault[] }> {
  const functions = new Map<string, Enrichment>()
  const faults: Fault[] = []
  for (const file of new Set(files)) {
    const found = await readFunction(folder, file)
    if (Array.isArray(found)) faults.push(...found)
    else functions.set(file, found)
  }
  return { functions, faults }
}

async function readFunction(folder: string, file: string): Promise<Enrichment | Fault[]> {
  const fault = (message: string, hint: string, place?: Fault['place']): Fault[] => [
    { file, message, hint, ...(place && { place }) },
  ]
  const path = join(folder, file)
  if (!existsSync(path)) return fault('is not there', `Write it: it exports takes, gives and enrich.`)
  const home = `${realpathSync(join(folder, ENRICH))}${sep}`
  const real = realpathSync(path)
  if (!real.startsWith(home) || !home.startsWith(`${realpathSync(folder)}${sep}`))
    return fault(
      `is reached by a link that leads out of ${ENRICH}/`,
      `Put the file itself into ${ENRICH}/ of the job.`,
    )
  const [url, base] = [pathToFileURL(real).href, pathToFileURL(home).href]
  const facts = await moduleFacts(url, base)
  if ('fault' in facts) {
    const { at, message, hint } = facts.fault
    const source = at && readFileSync(fileURLToPath(at.url), 'utf8')
    const start = source === undefined ? 0 : startOf(source, at!.line, at!.column)
    return [
      {
        file: at ? `${ENRICH}/${decodeURIComponent(at.url.slice(base.length))}` : file,
        ...(source !== undefined && { place: placeOf(source, start) }),
        message: `cannot be loaded: ${message}`,
        ...(hint !== undefined && { hint }),
      },
    ]
  }
  const source = readFileSync(path, 'utf8')
  const { exports, loads } = facts
  const named = (name: string) => exports[name]
  const stray = PARTS.find(name => named(name) === undefined)
  if (stray !== undefined) {
    const meant = nearest(
      stray,
      Object.keys(exports).filter(name => !PARTS.includes(name)),
    )
    return fault(
      `exports no ${stray}${meant === undefined ? '' : `; did you mean ${stray} by ${meant}`}`,
      EXAMPLE[stray]!,
      meant === undefined ? undefined : placeIn(source, meant),
    )
  }
  if (named('enrich')!.kind !== 'function')
    return fault('enrich is no function', EXAMPLE.enrich!, placeIn(source, 'enrich'))
  const takes = columnsOf(file, source, 'takes', named('takes')!.value)
  const gives = columnsOf(file, source, 'gives', named('gives')!.value)
  const wrong = [...takes.faults, ...gives.faults]
  if (wrong.length > 0) return wrong
  const twice = gives.columns.find(({ name }) =>
    takes.columns.some(take => take.name.toLowerCase() === name.toLowerCase()),
  )
  if (twice)
    return fault(
      `gives ${twice.name}, which it takes`,
      'What it gives stands beside what it takes: give it another name.',
      placeIn(source, 'gives'),
    )
  return {
    module: url,
    takes: takes.columns,
    gives: gives.columns,
    version: versionOf(loads, base),
    own: { file, folder: base, loads },
  }
}

/** What it does depends on what it loads, wherever the job's folder lies. */
function versionOf(loads: Record<string, string>, base: string): string {
  const contents = Object.entries(loads).map(([url, hash]) => [
    url.startsWith(base) ? url.slice(base.length) : '',
    hash,
  ])
  return createHash('sha256')
    .update(
      contents
        .map(each => each.join('\0'))
        .toSorted()
        .join('\n'),
    )
    .digest('hex')
}

const EXAMPLE: Record<string, string> = {
  takes: "Say which columns it is given: export const takes = { zip: 'VARCHAR' } as const",
  gives: "Say which columns it gives: export const gives = { region: 'VARCHAR' } as const",
  enrich:
    'export const enrich: Enrich<typeof takes, typeof gives> = ({ zip }) => ({ region: zip.map(regionOf) })',
}

/** Columns that a file declares: `{ zip: 'VARCHAR' }`. */
function columnsOf(
  file: string,
  source: string,
  part: string,
  value: unknown,
): { columns: Column[]; faults: Fault[] } {
  const fault = (message: string, hint: string, near?: string): Fault => ({
    file,
    place: placeIn(source, part, near),
    message,
    hint,
  })
  if (value === null || typeof value !== 'object' || Array.isArray(value) || Object.keys(value).length === 0)
    return { columns: [], faults: [fault(`${part} names no columns with their types`, EXAMPLE[part]!)] }
  const columns: Column[] = []
  const faults: Fault[] = []
  for (const [name, type] of Object.entries(value as Record<string, unknown>)) {
    const known = typeof type === 'string' ? declaredType(type) : undefined
    const other = columns.find(column => column.name.toLowerCase() === name.toLowerCase())
    if (/^_nf_|^$/i.test(name))
      faults.push(
        fault(
          `${part}: "${name}" is no name for a column`,
          'Names that begin with _nf_ are kept for nightfreight.',
          name,
        ),
      )
    else if (other)
      faults.push(fault(`${part} names ${other.name} twice`, 'Names differ in more than case.', name))
    else if (!known)
      faults.push(
        fault(
          `${part}: ${typeof type === 'string' ? `'${type}'` : typeof type} is not a type of a column${typeof type === 'string' && !isNested(type) ? didYouMean(type.toUpperCase(), TYPES) : ''}`,
          isNested(String(type))
            ? `A list, struct or map travels as JSON: ${name}: 'JSON'; a model casts it: ${name}::${String(type)}.`
            : `Types: ${TYPES.join(', ')}.`,
          name,
        ),
      )
    else
      columns.push(
        /^\s*JSON\s*$/i.test(String(type)) ? modelColumn(name, 'JSON') : modelColumn(name, typeName(known)),
      )
  }
  return { columns, faults }
}

const TYPES =
  'VARCHAR BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE DECIMAL(12,2) DATE TIME TIMESTAMP TIMESTAMPTZ BLOB JSON'.split(
    ' ',
  )

const isNested = (type: string) => /\[\d*\]$|^(STRUCT|MAP|UNION)\b/i.test(type.trim())

/** Where a file has a name: of its export `part`, or behind that. */
function placeIn(source: string, part: string, name?: string): Fault['place'] {
  const from = Math.max(0, source.search(new RegExp(`\\b${part}\\b`)))
  const behind = source.slice(from + part.length)
  // As a key: `zip:`, `'zip':`.
  const key =
    name === undefined ? -1 : behind.search(new RegExp(`(?<![\\w$])${name.replace(/\W/g, '\\$&')}["']?\\s*:`))
  return placeOf(source, key < 0 ? from : from + part.length + key)
}

function startOf(source: string, line: number, column: number): number {
  const lines = source.split('\n').slice(0, line - 1)
  return lines.reduce((sum, each) => sum + each.length + 1, 0) + column - 1
}
