import { fixedWidth } from '../../engine/batch/batch.ts'
import { type Footer, hasColumns, readFooter } from '../../engine/parquet/footer.ts'
import { type Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { literalPath, parquetSql } from '../../engine/sql/files.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { isStagedArrow } from './arrowSchema.ts'
import { isTime, type ParquetFile } from './parquet.ts'

/** Bytes of a value of no width of its own, beside its text. */
const OFFSET = 4

/**
 * The footer of a file that may be staged as it is, as far as that tells: it has the columns of the read and no others, in types
 * that staging has. The rest is for {@link stands}.
 */
export function mayStand(path: string, read: Column[]): Footer | undefined {
  try {
    const footer = readFooter(path)
    const { arrowSchema, encrypted, rows } = footer
    return hasColumns(footer, read) && rows > 0 && !encrypted && isStagedArrow(arrowSchema, read)
      ? footer
      : undefined
  } catch {
    // What is wrong with it is for whoever reads it to say.
    return undefined
  }
}

/**
 * Reads all of such a file, for its faults. True where its row groups hold what is said of them, for queries pass over them by that,
 * and no more than so many `bytes` each, for whoever loads it holds one at a time.
 */
export async function stands(
  duck: Duck,
  { path, columns }: ParquetFile,
  { groups }: Footer,
  read: Column[],
  { bytes, threads }: { bytes: number; threads: number },
): Promise<boolean> {
  const isPlain = ({ name, type }: Column) => {
    const { native, read, guess, beyond } = columns.get(name)!
    return (
      native === typeName(type) && read === quoteName(name) && guess === undefined && beyond === undefined
    )
  }
  if (!read.every(isPlain)) return false
  const widths = read.map(({ type }) => fixedWidth(type))
  const fixed = widths.reduce((sum, width) => sum + (width || OFFSET), 0)
  const texts = widths.flatMap((width, index) =>
    width === 0 ? [`sum(octet_length(${asBytes(read[index]!)}))`] : [],
  )
  const found = read.map(({ name }, index) => {
    const value = quoteName(name)
    return `min(${value}) AS low${index}, max(${value}) AS high${index}, count(${value}) AS known${index}`
  })
  const rows = `SELECT ${groupSql(groups.map(group => group.rows))} AS row_group_id, count(*) AS rows, ${found.join(', ')},
      ${[`count(*) * ${fixed}`, ...texts.map(sum => `coalesce(${sum}, 0)`)].join(' + ')} AS bytes
    FROM ${parquetSql([path], { rowNumber: true })} GROUP BY ALL`
  // By older writers, and by later ones.
  const within = ({ type }: Column, index: number) =>
    ['stats_min', 'stats_min_value', 'stats_max', 'stats_max_value'].map(said => {
      const least = said.startsWith('stats_min')
      const ends = `try_cast(${said} AS ${typeName(type)}) ${least ? `<= low${index}` : `>= high${index}`}`
      return `(${said} IS NULL OR known${index} = 0 OR ${ends})`
    })
  const times = read.flatMap(({ type }, index) =>
    type.kind === 'time' ? [`coalesce(${isTime(`low${index}`)} AND ${isTime(`high${index}`)}, true)`] : [],
  )
  const holds = read.map(
    (column, index) =>
      `WHEN ${index} THEN coalesce(stats_null_count = rows - known${index}, true) AND ${within(column, index).join(' AND ')}`,
  )
  await duck.run(`SET threads = ${threads}`)
  // Else it may answer by what is to be looked at.
  await duck.run(`SET disabled_optimizers = 'statistics_propagation, compressed_materialization'`)
  try {
    const [row] = await duck.rows(
      `WITH found AS MATERIALIZED (${rows})
       SELECT count(*) AS chunks, bool_and(coalesce(rows = row_group_num_rows AND bytes <= ${bytes} AND bloom_filter_offset IS NULL${times.map(time => ` AND ${time}`).join('')}
         AND CASE column_id ${holds.join(' ')} END, false)) AS holds
       FROM parquet_metadata(${literalPath(path)}) LEFT JOIN found USING (row_group_id)`,
    )
    return row!.holds === true && Number(row!.chunks) === groups.length * read.length
  } finally {
    await duck.run('RESET disabled_optimizers')
    // Who writes rows writes them the same each time.
    await duck.run('SET threads = 1')
  }
}

const asBytes = ({ name, type }: Column) =>
  type.kind === 'text' ? `encode(${quoteName(name)})` : quoteName(name)

/** SQL of the number of a row's group, of groups of so many rows: halved until one is left. */
function groupSql(rows: number[]): string {
  const ends: number[] = []
  for (const count of rows) ends.push((ends.at(-1) ?? 0) + count)
  const between = (from: number, to: number): string => {
    if (to - from <= 1) return String(from)
    const middle = (from + to) >> 1
    return `CASE WHEN file_row_number < ${ends[middle - 1]} THEN ${between(from, middle)} ELSE ${between(middle, to)} END`
  }
  return between(0, rows.length)
}
