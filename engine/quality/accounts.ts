import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'

// What became of rows, counted on its own at each end: lanes, staged files, findings, change sets, the target.

/** Of an extract: read + earlier + corrected = rows + rejected + superseded + gone. */
export interface ExtractAccount {
  table: string
  /** Rows that lanes gave in this run. */
  read: number
  /** Rows known of earlier runs. */
  earlier: number
  /** Rows that corrections put in the place of rejected ones. */
  corrected: number
  /** Rows that models and loads see. */
  rows: number
  rejected: number
  /** Rows superseded by a newer one of their key, or by one equal to them. */
  superseded: number
  /** Rows of earlier runs that the source has no more. */
  gone: number
}

/** Of a model: out = what others see of it + rejected. */
export interface ModelAccount {
  table: string
  /** Rows of the tables that it reads. */
  in: number
  /** Rows that its query gave. */
  out: number
  rejected: number
}

/** Of a load: read = loaded + unchanged + rejected + superseded. */
export interface LoadAccount {
  table: string
  to: string
  /** Rows of its data set, and those of its extract that did not get so far. */
  read: number
  /** Rows that the target inserted or updated. */
  loaded: number
  /** Rows that the target holds already. */
  unchanged: number
  rejected: number
  /** Rows with a newer one of their key, in the data set or in the target, or one equal to them. */
  superseded: number
  /** Rows of the last load that the data set has no more and the table keeps; those deleted are the target's count. */
  keptGone: number
}

export interface Accounts {
  extracts: ExtractAccount[]
  models: ModelAccount[]
  loads: LoadAccount[]
}

/** The loads of a run together. */
export function total(loads: LoadAccount[]): Omit<LoadAccount, 'table' | 'to' | 'keptGone'> {
  const sum = (of: (load: LoadAccount) => number) => loads.reduce((rows, load) => rows + of(load), 0)
  return {
    read: sum(load => load.read),
    loaded: sum(load => load.loaded),
    unchanged: sum(load => load.unchanged),
    rejected: sum(load => load.rejected),
    superseded: sum(load => load.superseded),
  }
}

/** Two counts of the same rows. */
export interface Equation {
  /** Whose rows: `extract.members`. */
  where: string
  /** What each side counts: `4 read`. */
  left: [number, string][]
  right: [number, string][]
}

/** Fails with ROWS_UNACCOUNTED, naming all that differ, where two counts of the same rows are not equal. */
export function checkEquations(equations: Equation[], committed: boolean): void {
  const wrong = equations.filter(({ left, right }) => sumOf(left) !== sumOf(right))
  if (wrong.length === 0) return
  const lines = wrong.map(
    ({ where, left, right }) =>
      `${where}: ${textOf(left)} are not ${textOf(right)}: a difference of ${counted(Math.abs(sumOf(left) - sumOf(right)), 'row')}`,
  )
  throw new EngineError('ROWS_UNACCOUNTED', lines.join('\n'), {
    hint: committed
      ? 'The load is committed: nightfreight verify says what the table holds. Please report this, it is an internal error.'
      : 'Nothing was loaded. Please report this, it is an internal error.',
  })
}

export const extractEquation = (account: ExtractAccount): Equation => ({
  where: `extract.${account.table}`,
  left: [
    [account.read, 'read'],
    [account.earlier, 'of earlier runs'],
    [account.corrected, 'corrected'],
  ],
  right: [
    [account.rows, 'in the table'],
    [account.rejected, 'rejected'],
    [account.superseded, 'superseded'],
    [account.gone, 'gone'],
  ],
})

export const loadEquation = (account: LoadAccount): Equation => ({
  where: `load.${account.table}`,
  left: [[account.read, 'read']],
  right: [
    [account.loaded, 'loaded'],
    [account.unchanged, 'unchanged'],
    [account.rejected, 'rejected'],
    [account.superseded, 'superseded'],
  ],
})

const sumOf = (side: [number, string][]) => side.reduce((sum, [rows]) => sum + rows, 0)
const textOf = (side: [number, string][]) =>
  side
    .filter(([rows], index) => rows !== 0 || index === 0)
    .map(([rows, what]) => `${rows} ${what}`)
    .join(' + ')
