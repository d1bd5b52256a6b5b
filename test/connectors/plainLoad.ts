import type { StagedLoad } from '../../engine/contracts/load.ts'

/** A merge by `id` with nothing else set: what a job's load is where it says no more. */
export const PLAIN_LOAD: Omit<StagedLoad, 'columns'> = {
  table: 't',
  to: 'w',
  from: 'm',
  mode: 'merge',
  key: ['id'],
  insertOnly: [],
  deletes: 'keep',
  partitionBy: [],
  compare: [],
  ignore: [],
  scd2: { validFrom: 'valid_from', validTo: 'valid_to', current: 'is_current' },
  guard: { maxDeleteShare: 0.1, allowEmpty: false },
  whole: false,
}
