import type { DriftPolicy, TableSchema } from '../contracts/source.ts'
import { EngineError } from '../errors.ts'
import type { StagedSchema } from '../staging/image.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'
import { widens } from '../types/widen.ts'
import { isNarrowed } from './narrowed.ts'

/**
 * One difference between the columns of the last committed run and the source's of now. `restaged`: the source's
 * column is the same, but the job's policy or our mapping stages it otherwise. `narrowed`: of the same type, and holds fewer values.
 */
export type Change =
  | { kind: 'added' | 'dropped'; column: Column }
  | { kind: 'widened' | 'narrowed' | 'incompatible' | 'nullable' | 'restaged'; column: Column; was: Column }

/** What is in parentheses behind these is a width of display, or decides the type. */
const NUMBERS: ReadonlySet<string> = new Set(['bool', 'int', 'decimal'])

/** What happens where the job says nothing: nothing that could lose or alter a value. */
const SAFE: DriftPolicy = { added: 'evolve', dropped: 'fail', widened: 'evolve', incompatible: 'fail' }

/** The changes of an extract and what the run makes of them. */
export interface Drift {
  /** The source's columns that are staged. */
  columns: Column[]
  /** Columns that the source no longer has and models still see, NULL in every row. */
  absent: Column[]
  /** Why earlier nights cannot be built on; empty where they can. */
  whole: string[]
  /** Those of {@link whole} by which values of earlier nights are none of the columns of now. */
  unlike: string[]
  /** Every change and what is made of it: for people. */
  notes: string[]
}

export interface DriftFacts {
  /** For messages: `legacy.members`, and the extract's name in job.yaml. */
  where: string
  extract: string
  last: StagedSchema
  columns: Column[]
  key: string[]
  /** True where the job itself names the key. */
  ownKey: boolean
  watermark?: string
  /** Other columns that the job names. */
  named: string[]
  policy?: Partial<DriftPolicy>
  /** True where the job itself declares the columns: their change is wanted. */
  declared?: boolean
  /** Set where what earlier nights read is not read again. */
  accumulates?: TableSchema['accumulates']
  /** True where earlier nights are a history, which columns of another type cannot go on. */
  history?: boolean
}

/**
 * All differences of two column lists, in the order of `now`, dropped ones last. Names are the same when they differ
 * in case only, as in SQL; the order of columns is none of it.
 */
export function changesOf(last: Column[], now: Column[]): Change[] {
  const changes: Change[] = []
  for (const column of now) {
    const was = columnNamed(last, column.name)
    if (!was) {
      changes.push({ kind: 'added', column })
      continue
    }
    const sameType = typeName(was.type) === typeName(column.type)
    const samePolicy = (was.policy ?? 'fail') === (column.policy ?? 'fail')
    if (!samePolicy || (!sameType && was.native === column.native))
      changes.push({ kind: 'restaged', column, was })
    if (!sameType && was.native !== column.native)
      changes.push({ kind: widens(was.type, column.type) ? 'widened' : 'incompatible', column, was })
    if (sameType && !NUMBERS.has(column.type.kind) && isNarrowed(was.native, column.native))
      changes.push({ kind: 'narrowed', column, was })
    // A policy that makes NULLs makes a column nullable, too.
    if (samePolicy && was.nullable !== column.nullable) changes.push({ kind: 'nullable', column, was })
  }
  for (const column of last) if (!columnNamed(now, column.name)) changes.push({ kind: 'dropped', column })
  return changes
}

/**
 * Weighs the changes by the job's policies. Pure. Fails with SCHEMA_DRIFT, naming every change that the job does not
 * accept and the line that accepts it; the loss of a key column, or a type that does not hold its values, is never accepted.
 */
export function weigh(facts: DriftFacts): Drift {
  const { last, columns, key } = facts
  const policy = { ...SAFE, ...facts.policy }
  const drift: Drift = { columns: [...columns], absent: [], whole: [], unlike: [], notes: [] }
  const refused: Refusal[] = []
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
  const among = (list: string[], name: string) => list.some(other => same(other, name))
  // A key that the job names anew is a decision; one that the source changed under it is not.
  const isKey = ({ name }: Column) => among(key, name) || (!facts.ownKey && among(last.key, name))
  const known = last.columns.filter(column => !last.absent.includes(column.name))
  for (const change of changesOf(known, columns)) {
    const { column } = change
    const refusal = facts.declared ? undefined : refusalOf(change, isKey(column), policy, facts)
    if (refusal) refused.push(refusal)
    else apply(change)
  }
  for (const column of last.columns)
    if (last.absent.includes(column.name) && !columnNamed(columns, column.name)) {
      const refusal = refusalOf({ kind: 'dropped', column }, false, policy, facts)
      if (refusal) refused.push(refusal)
      else apply({ kind: 'dropped', column })
    }
  if (refused.length > 0) throw refusalError(facts, refused)
  if (key.length !== last.key.length || !key.every(name => among(last.key, name)))
    part(`its key is ${key.join(', ') || 'none'} now, was ${last.key.join(', ') || 'none'}`)
  if (facts.watermark && last.watermark && !same(facts.watermark, last.watermark))
    drift.whole.push(`its incremental column is ${facts.watermark} now, was ${last.watermark}`)
  return drift

  function part(reason: string): void {
    drift.whole.push(reason)
    drift.unlike.push(reason)
  }

  function apply(change: Change): void {
    const { column } = change
    const note = (text: string) => drift.notes.push(`column ${column.name} ${text}`)
    switch (change.kind) {
      case 'added': {
        const wanted = among(
          [...key, ...facts.named, ...(facts.watermark ? [facts.watermark] : [])],
          column.name,
        )
        if (policy.added === 'ignore' && !wanted && !facts.declared) {
          drift.columns = drift.columns.filter(other => other !== column)
          note(`(${column.native}) is new and not read: drift.added is ignore`)
          return
        }
        note(`(${column.native}) is new: models see it`)
        // A default or a back-fill gives old rows a value without touching their incremental column.
        drift.whole.push(`column ${column.name} is new, and old rows may hold values in it`)
        return
      }
      case 'dropped':
        if (policy.dropped === 'ignore' && !facts.declared) {
          drift.absent.push({ ...column, nullable: true })
          note(`(${column.native}) is gone: models see NULL in every row`)
        } else note(`(${column.native}) is gone: models see it no more`)
        return
      case 'widened':
        note(
          `widened from ${change.was.native} to ${column.native}: earlier nights are read as the wider type`,
        )
        return
      case 'narrowed':
        note(`changed from ${change.was.native} to ${column.native}`)
        drift.whole.push(`column ${column.name} holds fewer values, and old rows may have others now`)
        return
      case 'incompatible':
        note(`changed from ${change.was.native} to ${column.native}`)
        part(`column ${column.name} changed its type`)
        return
      case 'nullable':
        note(column.nullable ? 'may be NULL now' : 'cannot be NULL any more')
        return
      case 'restaged': {
        const staged = ({ type, policy = 'fail' }: Column) => `${typeName(type)}, policy ${policy}`
        note(`(${column.native}) is staged as ${staged(column)}; before: ${staged(change.was)}`)
        const otherwise = `column ${column.name} is staged otherwise`
        const [before, now] = [change.was.type, column.type]
        if (typeName(before) === typeName(now) || widens(before, now)) drift.whole.push(otherwise)
        else part(otherwise)
        return
      }
    }
  }
}

interface Refusal {
  what: string
  /** What accepts it: the kind of policy with its values, or a sentence. */
  accept: { kind: keyof DriftPolicy; choices: string } | string
}

function refusalOf(
  change: Change,
  isKey: boolean,
  policy: DriftPolicy,
  { extract, watermark, accumulates, history }: DriftFacts,
): Refusal | undefined {
  const { kind, column } = change
  if (kind === 'nullable' || kind === 'restaged' || kind === 'narrowed') return undefined
  const was = 'was' in change ? change.was.native : ''
  const named = `${isKey ? 'key column' : 'column'} ${column.name}`
  const what = {
    added: `column ${column.name} (${column.native}) is new`,
    dropped: `${named} (${column.native}) is gone`,
    widened: `${named} changed from ${was} to ${column.native}`,
    incompatible: `${named} changed from ${was} to ${column.native}`,
  }[kind]
  if (isKey && kind !== 'added' && kind !== 'widened')
    return {
      what,
      accept:
        kind === 'dropped'
          ? `Name the columns that identify a row now: key: of extract ${extract}.`
          : `Rows of two nights cannot be told to be the same: ${renamed(extract, accumulates)}, and it is read as a new table.`,
    }
  if (kind === 'dropped' && watermark?.toLowerCase() === column.name.toLowerCase())
    return {
      what,
      accept: `Name another column in incremental: of extract ${extract}, or leave incremental: out.`,
    }
  if (policy[kind] !== 'fail') return undefined
  if (kind === 'incompatible' && accumulates)
    return {
      what,
      accept: `Files of earlier nights are not read again: have the file written with its former type; or ${renamed(extract, accumulates)}, and all of them are read as new.`,
    }
  const choices = history && kind === 'incompatible' ? ANEW : CHOICES[kind]
  return { what, accept: { kind, choices } }
}

/** For hints: what has an extract read as new. Of files that are gone it would have what is left alone. */
export const renamed = (extract: string, accumulates: TableSchema['accumulates']): string =>
  `${accumulates === 'cleared' ? 'put the earlier files back and ' : ''}give extract ${extract} another name`

const CHOICES: Record<keyof DriftPolicy, string> = {
  added: 'evolve (models see it) or ignore (it is not read)',
  dropped: 'evolve (models see it no more) or ignore (models see NULL)',
  widened: 'evolve (earlier nights are read as the wider type)',
  incompatible: 'evolve (the whole table is read anew)',
}

/** Of a history, in place of what is said of {@link DriftPolicy.incompatible}. */
const ANEW =
  'evolve, and its history then has to begin anew, without what changed since the last load: nightfreight run JOB --full-refresh'

function refusalError({ where, extract }: DriftFacts, refused: Refusal[]): EngineError {
  const hints = refused.map(({ accept }) =>
    typeof accept === 'string'
      ? accept
      : `To accept it, write in extract.${extract} of job.yaml: drift: { ${accept.kind}: evolve }. ${accept.kind} may be ${accept.choices}.`,
  )
  return new EngineError(
    'SCHEMA_DRIFT',
    `${where}: ${refused.map(({ what }) => what).join('; ')} since the last load`,
    { hint: [...new Set(hints)].join(' ') },
  )
}
