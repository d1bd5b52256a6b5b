import type { DriftPolicy } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { widens } from '../../engine/types/widen.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import { fileColumn, withFileColumn } from '../formats/column.ts'
import { OWN } from '../formats/field.ts'
import type { FoundType } from '../formats/inferTypes.ts'
import type { FileNames } from './inspect.ts'

export interface ColumnFacts {
  /** For messages: `drop.orders`, and the extract's name. */
  where: string
  extract: string
  /** What the files of this night have, in the order they are read. */
  files: FileNames[]
  /** Columns of the last committed run; undefined on the first night. */
  last?: Column[]
  key: string[]
  /** Whether rows of earlier nights stay beside those of this one. */
  accumulates: boolean
  policy: Partial<DriftPolicy>
  /** Whether a file that lacks a column is left out, and not a reason to stop. */
  quarantine: boolean
  /** Types of columns of text that are new. */
  types: Record<string, FoundType>
}

/**
 * The columns that a night's files have together. Pure. Each file is weighed against those before it as a night is
 * against the last one: a column may come, and may be missing later only where `drift.dropped` says so. What the whole
 * night has or lacks is for the plan to weigh. Fails with SCHEMA_DRIFT, naming file and column.
 */
export function columnsOf(facts: ColumnFacts): Column[] {
  const { files, last } = facts
  if (files.length === 0) return last ?? []
  const columns = new Map((last ?? []).map(column => [column.name, withFileColumn(column, kept(column))]))
  const seen = new Set(files.flatMap(({ names }) => names))
  const folded = new Set([...seen].map(name => name.toLowerCase()))
  for (const [index, file] of files.entries()) {
    for (const column of columns.values()) if (!file.names.includes(column.name)) lack(column, file)
    for (const name of file.names) {
      const found = typeOf(name, file)
      const column = columns.get(name)
      if (column) {
        if (file.own) columns.set(name, joined(column, found.type, facts))
        continue
      }
      if (!last && index > 0 && !isTaken(name, file)) continue
      columns.set(name, made(name, found, index > 0 || last !== undefined))
    }
  }
  const result = [...columns.values()].filter(
    column => seen.has(column.name) || facts.quarantine || keeps(column) || isSparse(files, facts),
  )
  refuseAlike(facts.where, result)
  return result

  /** Whether rows of earlier nights keep what they have in a column that none of this night's files has. */
  function keeps({ name }: Column): boolean {
    const isIgnored = facts.accumulates && facts.policy.dropped === 'ignore'
    return isIgnored && !facts.key.includes(name) && !folded.has(name.toLowerCase())
  }

  function lack(column: Column, file: FileNames): void {
    const policy = facts.policy.dropped
    const gone = !seen.has(column.name)
    // The plan says it of the table.
    if (gone && !keeps(column) && policy !== undefined && policy !== 'fail') return
    if (file.sparse && policy !== 'fail')
      columns.set(column.name, withFileColumn(column, { ...fileColumn(column), optional: true }))
    else if (policy === 'ignore' || policy === 'evolve')
      columns.set(column.name, withFileColumn(column, { ...fileColumn(column), optional: true }))
    else if (!facts.quarantine)
      throw new EngineError(
        'SCHEMA_DRIFT',
        `${facts.where}: ${file.name} has no column ${column.name}${last?.some(({ name }) => name === column.name) ? ', which the last load had' : ', which a file before it has'}${alike(column, file)}`,
        { hint: lackHint(column) },
      )
  }

  function alike({ name }: Column, { names }: FileNames): string {
    const other = names.find(each => each.toLowerCase() === name.toLowerCase())
    return other === undefined ? '' : `: ${other} is another, by its case`
  }

  function lackHint({ name }: Column): string {
    const leave = 'on_bad_file: quarantine (the file is left where it is)'
    return facts.key.includes(name)
      ? `Each file must have the columns of the key. Get the file again, or write in extract.${facts.extract} of job.yaml: ${leave}.`
      : `To accept it, write in extract.${facts.extract} of job.yaml: drift: { dropped: ignore } (its rows have NULL), or ${leave}.`
  }

  function isTaken(name: string, file: FileNames): boolean {
    const policy = facts.policy.added ?? 'evolve'
    if (policy === 'fail')
      throw new EngineError(
        'SCHEMA_DRIFT',
        `${facts.where}: ${file.name} has a column ${name}, which the files before it have not`,
        { hint: `To accept it, write in extract.${facts.extract} of job.yaml: drift: { added: evolve }.` },
      )
    return policy === 'evolve'
  }

  function typeOf(name: string, file: FileNames): FoundType {
    // What files of text write in such a column is held to its notation, too.
    const type = ownValue(file.own, name)
    return type === undefined ? (ownValue(facts.types, name) ?? { type: 'VARCHAR' }) : { type, notation: OWN }
  }
}

const kept = (column: Column) => ({ notation: fileColumn(column).notation })

// Records leave keys out; where no file of the night has a key, its column stays.
const isSparse = (files: FileNames[], { policy }: ColumnFacts) =>
  files.every(({ sparse }) => sparse) && policy.dropped === undefined

function made(name: string, { type, notation }: FoundType, optional: boolean): Column {
  // A type that was guessed must not stop the night: what it does not hold goes to the quarantine.
  const column: Column = {
    name,
    type: declaredType(type)!,
    nullable: true,
    native: type,
    policy: 'quarantine',
  }
  return withFileColumn(column, { notation, optional })
}

/** A column with the type that holds what the file's holds, too; on a first night text where no other does. */
function joined(column: Column, native: string, { last }: ColumnFacts): Column {
  const type = declaredType(native)!
  if (typeName(type) === typeName(column.type) || widens(type, column.type)) return column
  if (widens(column.type, type)) return { ...column, type, native }
  if (column.type.kind === 'text') return column
  if (!last?.some(({ name }) => name === column.name))
    return { ...column, type: { kind: 'text' }, native: 'VARCHAR' }
  // Moments that do not fit are text in one file and rows of the quarantine here.
  return type.kind === 'text' ? column : { ...column, type, native }
}

function refuseAlike(where: string, columns: Column[]): void {
  const folded = new Map<string, string>()
  for (const { name } of columns) {
    const other = folded.get(name.toLowerCase())
    if (other !== undefined)
      throw new EngineError(
        'CONFIG_INVALID',
        `${where}: the columns ${other} and ${name} differ in case only, and SQL would take them for one`,
        { hint: `Declare the columns that are wanted, one of the two: schema: { ${name}: VARCHAR, … }.` },
      )
    folded.set(name.toLowerCase(), name)
  }
}
