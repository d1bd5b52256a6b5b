import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { ownValue } from '../../../engine/ownValue.ts'
import { hasColumns } from '../../../engine/parquet/footer.ts'
import { joinKept, type KeptFile, openKept } from '../../../engine/parquet/kept.ts'
import { type Duck, quote } from '../../../engine/sql/duckdb.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import { stagedSql } from './files.ts'
import { dataPath } from './layout.ts'
import type { DataFile } from './log.ts'
import { boundsOf, putFile, type Writing } from './write.ts'

/** Files that the values of a key may lie between the bounds of: a merge reads no more than those for a row. */
const MAX_FILES = 2

/**
 * Makes data files of staged ones whose pages are such as the lake's own: they are copied, and their rows lie as they were read.
 * Undefined where a staged file is another's, has other columns, or keys lie so scattered that merges would read much more
 * than of sorted files.
 */
export async function keepParts(
  writing: Writing,
  paths: string[],
  columns: Column[],
): Promise<DataFile[] | undefined> {
  const { duck, key, format, where, work, signal } = writing
  const parts = paths.map(openKept)
  if (!parts.every(part => part !== undefined && hasColumns(part, columns))) return undefined
  const groups = grouped(parts as KeptFile[], format.target)
  const bounds: Pick<DataFile, 'min' | 'max'>[] = []
  for (const group of groups)
    bounds.push(
      await boundsOf(
        duck,
        key,
        stagedSql(
          columns,
          group.map(({ path }) => path),
        ),
      ),
    )
  if (!(await lieApart(duck, columnNamed(columns, key[0]!)!, bounds))) return undefined
  const files: DataFile[] = []
  for (const [index, group] of groups.entries()) {
    signal.throwIfAborted()
    const temporary = join(work, `${randomUUID()}.parquet`)
    const written = await joinKept(group, temporary)
    const path = dataPath(where, [], [])
    await putFile(writing, path, temporary)
    const rows = group.reduce((sum, part) => sum + part.rows, 0)
    files.push({ path, partition: [], rows, ...written, ...bounds[index]! })
  }
  return files
}

/** Files in their order, together about as large as a data file should be. */
function grouped(parts: KeptFile[], target: number): KeptFile[][] {
  const groups: KeptFile[][] = []
  let size = Infinity
  for (const part of parts) {
    if (size + part.bytes > target) {
      groups.push([])
      size = 0
    }
    groups.at(-1)!.push(part)
    size += part.bytes
  }
  return groups
}

/** Whether no value of a key's first column is between the bounds of more than {@link MAX_FILES} files. */
async function lieApart(
  duck: Duck,
  { name, type }: Column,
  bounds: Pick<DataFile, 'min' | 'max'>[],
): Promise<boolean> {
  if (bounds.length <= MAX_FILES) return true
  if (bounds.some(({ min }) => ownValue(min, name) === undefined)) return false
  const list = bounds.map(({ min, max }, index) => `(${index}, ${quote(min[name]!)}, ${quote(max[name]!)})`)
  const files = `(SELECT i, CAST(low AS ${typeName(type)}) AS low, CAST(high AS ${typeName(type)}) AS high FROM (VALUES ${list.join(', ')}) AS v(i, low, high))`
  // Where most ranges overlap, one of them begins.
  const [found] = await duck.rows(
    `SELECT max(n) AS n FROM (SELECT count(*) AS n FROM ${files} AS a JOIN ${files} AS b ON b.low <= a.low AND a.low <= b.high GROUP BY a.i)`,
  )
  return Number(found!.n) <= MAX_FILES
}
