import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type Column, columnNamed, type LogicalType, typeName } from '../../../engine/types/logical.ts'
import { widens } from '../../../engine/types/widen.ts'
import { checkOwnColumns, ownColumns } from '../sql/dialect.ts'
import { columnsOf, type Manifest } from './log.ts'

/**
 * The columns that a table has after a load: its own, in their order, each as wide as it must be, then new ones.
 * Under `replace` those of the load alone. Fails with TARGET_INCOMPATIBLE where a value would not be held exactly.
 */
export function tableColumns(load: PlannedLoad, manifest: Manifest | undefined, where: string): Column[] {
  const refuse = (message: string, hint: string): never => {
    throw new EngineError('TARGET_INCOMPATIBLE', `${where}${message}`, { hint })
  }
  const wanted: { name: string; type: LogicalType }[] = load.columns.map(({ name, type }) => ({ name, type }))
  checkOwnColumns(load, where)
  wanted.push(...ownColumns(load))
  for (const name of load.partitionBy) {
    const { kind } = columnNamed(load.columns, name)!.type
    if (kind === 'float' || kind === 'binary')
      refuse(`.${name}: a ${kind} makes no partitions`, 'Partition by a date, a number or a text.')
  }
  const replaces = load.mode === 'replace'
  if (manifest && !replaces && !sameNames(manifest.partitionBy, load.partitionBy))
    refuse(
      `: is partitioned by ${list(manifest.partitionBy)}, not by ${list(load.partitionBy)}`,
      `Set partition_by: [${manifest.partitionBy.join(', ')}], or write the table anew with mode replace.`,
    )
  const columns = manifest && !replaces ? columnsOf(manifest) : []
  for (const { name, type } of wanted) {
    const there = columnNamed(columns, name)
    if (!there) {
      columns.push({ name, type, nullable: !load.key.includes(name), native: typeName(type) })
      continue
    }
    if (typeName(there.type) === typeName(type) || widens(type, there.type)) continue
    // A partition's folder is named by its value's text, which another type may write differently.
    const partition = manifest?.partitionBy.some(column => same(column, name)) && type.kind !== 'int'
    if (!widens(there.type, type) || partition)
      refuse(
        `.${there.name}: ${typeName(type)} does not fit ${typeName(there.type)} exactly`,
        `Cast ${name} in ${load.from}, or write the table anew with mode replace.`,
      )
    there.type = type
    there.native = typeName(type)
  }
  return columns
}

/** Whether two lists name the same columns in the same order, as SQL compares names. */
export const sameNames = (a: string[], b: string[]) =>
  a.length === b.length && a.every((name, index) => same(name, b[index]!))

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
const list = (names: string[]) => (names.length === 0 ? 'nothing' : names.join(', '))
