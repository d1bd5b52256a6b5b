import { ownValue } from '../ownValue.ts'
import type { LoadSpec, PlannedLoad, StagedLoad } from './load.ts'

// What a load's mode and options mean for a row, once: the diff, every target and the verification decide by these.

/** The modes that make the table, or its partitions, hold the data set and nothing else: every column counts. */
export const mirrors = ({ mode }: Pick<LoadSpec, 'mode'>) => mode === 'replace' || mode === 'partition'

/** Columns that a row which is there already takes from the data set. An insert writes all. */
export function updatedColumns({ mode, columns, key, insertOnly }: PlannedLoad): string[] {
  if (mode === 'append') return []
  const kept = mode === 'merge' ? insertOnly : []
  return namesOf(columns).filter(name => !key.includes(name) && !kept.includes(name))
}

/** Columns that decide whether a row has changed, and that equal the data set's after a load. */
export function decidingColumns(load: PlannedLoad): string[] {
  const { mode, columns, key, compare, ignore } = load
  if (mode === 'append') return namesOf(columns).filter(name => !key.includes(name))
  if (mirrors(load)) return updatedColumns(load)
  return updatedColumns(load).filter(
    name => (compare.length === 0 || compare.includes(name)) && !ignore.includes(name),
  )
}

/**
 * The column by which the target's row may be newer than the data set's, and then keeps its values. Older is a lesser
 * value; NULL is older than any. A row of the same age is compared as without the column.
 */
export const ageColumn = ({ mode, newer }: LoadSpec) =>
  mode === 'merge' || mode === 'scd2' ? newer : undefined

/** Whether a staged row that is older than the target's is left alone. A history puts it between its versions. */
export const leavesOlder = (load: PlannedLoad) =>
  load.mode === 'merge' && ageColumn(load) !== undefined && updatedColumns(load).length > 0

/**
 * Which rows of the target are gone from the data set:
 *
 * | | |
 * |---|---|
 * | none | nobody looks for any |
 * | named | those whose keys are staged as gone |
 * | unstaged | all that are not staged, but those whose keys are staged as to be kept |
 * | inPartitions | all of the staged partitions that are not staged |
 */
export type GoneRows = 'none' | 'named' | 'unstaged' | 'inPartitions'

export function goneRows({ mode, whole, deletes }: StagedLoad): GoneRows {
  if (mode === 'replace') return whole ? 'unstaged' : 'named'
  if (mode === 'partition') return whole ? 'unstaged' : 'inPartitions'
  if (mode === 'append' || deletes === 'keep') return 'none'
  return whole ? 'unstaged' : 'named'
}

/** Whether rows that are gone leave the target, or are marked or ended there. */
export const removesGone = (load: LoadSpec) =>
  mirrors(load) || (load.mode !== 'append' && load.deletes !== 'keep')

/** The column that marks rows as gone; undefined where the load marks none: it deletes them, or ends their versions. */
export const markColumn = ({ mode, deletes, deletedAt }: LoadSpec) =>
  mode === 'merge' && deletes === 'soft' ? deletedAt : undefined

/** The column that says that a row of the target is none of today: a mark's time, or the end of a version. */
export const endColumn = (load: LoadSpec) => (load.mode === 'scd2' ? load.scd2.validTo : markColumn(load))

/** The modes that give an option of a load a meaning; of any other option all do. */
const MODES_OF: Record<string, LoadSpec['mode'][]> = {
  insert_only: ['merge'],
  compare: ['merge', 'scd2'],
  ignore: ['merge', 'scd2'],
  deletes: ['merge', 'scd2'],
  deleted_at: ['merge'],
  batch_rows: ['merge', 'append', 'scd2'],
  scd2: ['scd2'],
}

/** Whether an option means something in a mode. A job whose load sets one that does not is refused. */
export const isFor = (option: string, mode: string): boolean =>
  ownValue(MODES_OF, option)?.some(one => one === mode) ?? true

const namesOf = (columns: PlannedLoad['columns']) => columns.map(({ name }) => name)
