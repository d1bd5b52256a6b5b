import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemError } from '../../engine/errors.ts'
import { Mask } from '../../engine/mask.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import type { JobSpec } from '../spec/job.ts'

/**
 * What masks the job's sensitive columns, or without a job those that are named. The key is that of
 * NIGHTFREIGHT_MASK_KEY, or one that the home folder keeps for its owner's eyes.
 */
export function openMask(home: string, env: Record<string, string | undefined>, spec?: JobSpec): Mask {
  if (spec && ![...spec.extracts, ...spec.loads].some(({ sensitive = [] }) => sensitive.length > 0))
    return Mask.none
  return new Mask(env.NIGHTFREIGHT_MASK_KEY || keyIn(home), spec)
}

/** An error record as people may see it. */
export const shownRecord = (mask: Mask, error: ErrorRecord): ErrorRecord => ({
  ...error,
  row_key: error.row_key && mask.about(error.sensitive, error.record, error.row_key),
  record: mask.record(error.sensitive, error.record),
  correction: error.correction && mask.record(error.sensitive, error.correction),
})

function keyIn(home: string): string {
  const path = join(home, 'mask.key')
  mkdirSync(home, { recursive: true, mode: 0o700 })
  try {
    // Of several processes that begin at once, one makes it.
    writeFileSync(path, randomBytes(32).toString('hex'), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw systemError(error)
  }
  return readFileSync(path, 'utf8')
}
