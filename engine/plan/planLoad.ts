import type { LoadSpec, PlannedLoad } from '../contracts/load.ts'
import { EngineError } from '../errors.ts'
import { didYouMean } from '../nearest.ts'
import { quoteName } from '../sql/duckdb.ts'
import { loadedColumn, seenType } from '../types/duckType.ts'
import { type Column, columnNamed } from '../types/logical.ts'
import { checkOwnColumns } from './checkOwnColumns.ts'

/**
 * A load with the columns of the data set it loads, whose spelling its own names take. Fails where its key or other named
 * columns are not among them.
 */
export function planLoad(spec: LoadSpec, columns: Column[]): PlannedLoad {
  const names = columns.map(column => column.name)
  const spelled = (name: string): string => {
    const column = columnNamed(columns, name)
    if (column) return column.name
    throw new EngineError(
      'COLUMN_MISSING',
      `load.${spec.table}: ${spec.from} has no column ${name}${didYouMean(name, names)}`,
      { hint: `Its columns: ${names.join(', ')}.` },
    )
  }
  const { key, insertOnly, newer, partitionBy, compare, ignore, nesting = 'kept' } = spec
  for (const name of [...key, ...partitionBy, ...(newer === undefined ? [] : [newer])]) {
    const column = columns.find(column => column.name === spelled(name))!
    if (column.type.kind === 'nested')
      throw new EngineError(
        'TYPE_UNSUPPORTED',
        `load.${spec.table}: column ${column.name} of ${spec.from} has type ${seenType(column)}, by which no rows can be told apart or ordered`,
        {
          hint: `Write to_json(${quoteName(column.name)})::VARCHAR AS ${quoteName(column.name)} in ${spec.from}.`,
        },
      )
  }
  const planned: PlannedLoad = {
    ...spec,
    key: key.map(spelled),
    insertOnly: insertOnly.map(spelled),
    partitionBy: partitionBy.map(spelled),
    compare: compare.map(spelled),
    ignore: ignore.map(spelled),
    ...(newer !== undefined && { newer: spelled(newer) }),
    columns: columns.map(column => loadedColumn(column, nesting)),
  }
  checkOwnColumns(planned)
  return planned
}

/**
 * Fails with CONFIG_INVALID where a load deletes but is made from extracts that see changed rows only: a row that is
 * not among those may still be there.
 */
export function checkDeletes(load: LoadSpec, extracts: string[], incremental: string[]): void {
  const blind = extracts.filter(name => incremental.includes(name))
  if (load.deletes === 'keep' || blind.length === 0) return
  throw new EngineError(
    'CONFIG_INVALID',
    `load.${load.table}: deletes: ${load.deletes} cannot be known from ${blind.join(', ')}, read incrementally`,
    {
      hint: `Read all keys, too (incremental: { find_deletes: true }, where the source can), or ${blind.join(', ')} whole (no incremental; a drop with take: all), or take deletes from this load.`,
    },
  )
}
