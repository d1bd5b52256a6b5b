import { isUtf8 } from 'node:buffer'
import { basename } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { counted } from '../../engine/plural.ts'
import { Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { type Place, placeOf } from '../../engine/sql/text.ts'
import { typeName } from '../../engine/types/logical.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import { fieldSql } from '../formats/field.ts'
import { TypeFinder } from '../formats/inferTypes.ts'
import type { Model } from '../spec/job.ts'
import { otherSeparator, parseCsv } from '../util/csv.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'

/** A CSV file of `seeds/`, as it lies there. */
export interface SeedFile {
  file: string
  /** Nothing of one that is {@link LARGEST_SEED too large}. */
  bytes: Buffer
  size: number
}

/** Bytes of a seed at most: it is read whenever the job is, and stands in its SQL. */
export const LARGEST_SEED = 1 << 20
const STYLE = { emptyIsText: true }
const ENDING = /\.csv$/i

/**
 * The tables of `seeds/`, as models: a query of the file's own values, each of the type that `seeds:` of job.yaml gives its
 * column, or that all of its values are found to have. In CSV nothing is NULL, and `""` is an empty text. Problems go to
 * the document, or are returned where they are the file's.
 */
export async function readSeeds(
  document: Document,
  yaml: Pick<JobYaml, 'seeds'>,
  files: SeedFile[],
): Promise<{ models: Model[]; faults: Fault[] }> {
  const models: Model[] = []
  const faults: Fault[] = []
  const names = files.map(({ file }) => nameOf(file))
  for (const name of Object.keys(yaml.seeds))
    if (!names.includes(name))
      document.problem(
        ['seeds', name],
        `seeds.${name}: there is no file seeds/${name}.csv${didYouMean(name, names)}`,
        'key',
      )
  if (files.length === 0) return { models, faults }
  const duck = await Duck.open({ threads: 1 })
  try {
    for (const seed of files) {
      const found = rowsOf(seed)
      const name = nameOf(seed.file)
      if (!Array.isArray(found)) {
        faults.push(found)
        // It is refused; what names it is not.
        models.push({ name, file: seed.file, sql: 'SELECT NULL', seed: true })
        continue
      }
      const [header, ...rows] = found as [string[], ...(string | null)[][]]
      const declared = ownValue(yaml.seeds, name) ?? {}
      for (const column of Object.keys(declared))
        if (!header.includes(column))
          document.problem(
            ['seeds', name, column],
            `seeds.${name}.${column}: ${seed.file} has no such column${didYouMean(column, header)}`,
            'key',
          )
      const { sql, wrong } = await typed(duck, seed, header, rows, declared)
      faults.push(...wrong)
      models.push({ name, file: seed.file, sql, seed: true })
    }
  } finally {
    duck.close()
  }
  return { models, faults }
}

const nameOf = (file: string) => basename(file).replace(ENDING, '')

/** A file's header and rows, all of one length; or what is wrong with it. */
function rowsOf({ file, bytes, size }: SeedFile): (string | null)[][] | Fault {
  if (size > LARGEST_SEED)
    return {
      file,
      message: `has ${counted(size, 'byte')}; a seed has at most ${LARGEST_SEED}`,
      hint: `Move it to large/, beside seeds/, and read it as an extract. In connections: large: "file:large"; in extract: ${nameOf(file)}: { from: large, files: ${JSON.stringify(basename(file))}, take: all }`,
    }
  if (!isUtf8(bytes))
    return { file, message: 'is not UTF-8', hint: 'Save it as UTF-8: in Excel, "CSV UTF-8".' }
  const text = textOf(bytes)
  let rows: (string | null)[][]
  try {
    rows = parseCsv(text)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return { file, message: error.message, hint: error.hint }
  }
  const [header, ...body] = rows
  if (!header) return { file, message: 'is empty; its first line names the columns' }
  const place = placeOf(text, 0)
  const other = otherSeparator(header)
  if (other !== undefined)
    return {
      file,
      place,
      message: `its columns are parted by ${other}, those of a seed by commas`,
      hint: 'Save it with commas; a decimal comma stands in quotes.',
    }
  const unnamed = header.findIndex(name => name === null || name.trim() === '')
  if (unnamed >= 0) return { file, place, message: `column ${unnamed + 1} has no name in the first line` }
  const lower = header.map(name => name!.toLowerCase())
  const twice = lower.findIndex((name, index) => lower.indexOf(name) !== index)
  if (twice >= 0) return { file, place, message: `two columns are called ${header[twice]}` }
  const wide = body.findIndex(row => row.length !== header.length)
  if (wide >= 0)
    return {
      file,
      place: placeOfRow(text, rows, wide + 1),
      message: `has ${counted(body[wide]!.length, 'value')}, where the first line has ${header.length}`,
      hint: 'A value with a comma is in quotes.',
    }
  return rows
}

const textOf = (bytes: Buffer) => bytes.toString('utf8').replace(/^\ufeff/, '')

/** Where a row begins: values in quotes may hold line breaks. */
function placeOfRow(text: string, rows: (string | null)[][], index: number): Place {
  const before = rows.slice(0, index)
  const breaks = before.flat().reduce((sum, value) => sum + (value?.match(/\n/g)?.length ?? 0), index)
  let start = 0
  for (let line = 0; line < breaks; line++) start = text.indexOf('\n', start) + 1
  return placeOf(text, start)
}

/** A query of a seed's rows, and its values that their type does not hold. */
async function typed(
  duck: Duck,
  seed: SeedFile,
  header: string[],
  rows: (string | null)[][],
  declared: Record<string, string>,
): Promise<{ sql: string; wrong: Fault[] }> {
  const table = (values: (string | null)[][]) => `unnest(${quote(JSON.stringify(values))}::JSON::VARCHAR[][])`
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE seed AS SELECT r, row_number() OVER () AS n FROM (SELECT ${table(rows)} AS r)`,
  )
  const field = (name: string) => `r[${header.indexOf(name) + 1}]`
  const finder = new TypeFinder(STYLE)
  const open = header.filter(name => !Object.hasOwn(declared, name))
  await finder.add(duck, 'seed', open, field, true)
  const found = finder.types()
  const columns = header.map(name => {
    const { type, notation } = Object.hasOwn(declared, name) ? { type: declared[name]! } : found[name]!
    const logical = declaredType(type)!
    return { name, type: typeName(logical), ...fieldSql(field(name), logical, STYLE, notation) }
  })
  const wrong: Fault[] = []
  const text = textOf(seed.bytes)
  for (const { name, type, bad } of columns) {
    if (bad === 'false') continue
    const [first] = await duck.rows(
      `SELECT n, ${field(name)} AS value, count(*) OVER () AS others FROM seed WHERE ${bad} ORDER BY n LIMIT 1`,
    )
    if (!first) continue
    const others = Number(first.others) - 1
    wrong.push({
      file: seed.file,
      place: placeOfRow(text, [header, ...rows], Number(first.n)),
      message: `${name}: ${first.value} is no ${type}${others > 0 ? `, ${others === 1 ? 'nor is' : 'nor are'} ${counted(others, 'other value')}` : ''}`,
    })
  }
  const texts = columns.map(({ value }) => `(${value})::VARCHAR`).join(', ')
  const values =
    wrong.length > 0
      ? []
      : (await duck.rows(`SELECT to_json([${texts}])::VARCHAR AS r FROM seed ORDER BY n`)).map(
          ({ r }) => JSON.parse(String(r)) as (string | null)[],
        )
  const list = columns.map(({ name, type }, index) => `r[${index + 1}]::${type} AS ${quoteName(name)}`)
  return { sql: `SELECT ${list.join(', ')}\nFROM (SELECT ${table(values)} AS r)`, wrong }
}
