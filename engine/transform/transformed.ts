import type { Part } from '../contracts/staging.ts'
import type { NightRows } from '../extract/images.ts'
import type { ExtractAccount } from '../quality/accounts.ts'
import type { Tally } from '../quality/gate.ts'
import type { CheckResult } from '../quality/rowChecks.ts'
import type { Corrected } from '../runtime/correction.ts'
import type { DataSet } from '../staging/dataSet.ts'
import type { Column } from '../types/logical.ts'
import type { Basis } from './basis.ts'

/** What one model, or the rules of one extract, left in staging. */
export interface Transformed extends Tally, Omit<DataSet, 'parts'> {
  columns: Column[]
  /** All its rows; absent for the rules of an extract. */
  parts?: Part[]
  checks: CheckResult[]
  /** Of a model: what its rows were made of. */
  basis?: Basis
  /** The earlier run that computed its rows, where nothing has changed of what they are made of. */
  taken?: string
  /** Of an incremental model: the run whose rows it has but for those of some keys, and how many keys that are. */
  updated?: { run: string; keys: number }
  /** Why its rows were computed, where an earlier run could have had them. */
  computed?: string
  /** What came of its corrections, where there were any. */
  corrected?: Corrected
  /** Of an extract: Parquet file of its corrected rows below the staging root. */
  corrections?: string
}

/** What the rules of types and keys left of an extract. */
export interface JudgedExtract extends Transformed {
  night: NightRows
  account: ExtractAccount
}
