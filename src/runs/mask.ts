import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemError } from '../../engine/errors.ts'
import { Mask } from '../../engine/mask.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import type { JobSpec } from '../spec/job.ts'
import { makeFolder } from '../util/folder.ts'

/**
 * What masks the job's sensitive columns, or without a job those that are named. The key is that of
 * NIGHTFREIGHT_MASK_KEY, or one that the home folder keeps for its owner's eyes; `note` is told where that was damaged.
 */
export function openMask(
  home: string,
  env: Record<string, string | undefined>,
  spec?: Pick<JobSpec, 'extracts' | 'loads' | 'models' | 'checks' | 'macros'>,
  note?: (text: string) => void,
): Mask {
  if (spec && ![...spec.extracts, ...spec.loads].some(({ sensitive = [] }) => sensitive.length > 0))
    return Mask.none
  return new Mask(env.NIGHTFREIGHT_MASK_KEY || keyIn(home, note), spec)
}

/** An error record as people may see it. */
export const shownRecord = (mask: Mask, error: ErrorRecord): ErrorRecord => ({
  ...error,
  row_key: error.row_key && mask.about(error.sensitive, error.record, error.row_key),
  record: mask.record(error.sensitive, error.record),
  correction: error.correction && mask.record(error.sensitive, error.correction),
})

const KEY = /^[0-9a-f]{64}$/

function keyIn(home: string, note?: (text: string) => void): string {
  const path = join(home, 'mask.key')
  try {
    makeFolder(home, 0o700)
    return keptKey(path) ?? newKey(path, note)
  } catch (error) {
    // A failed read does not say of what.
    throw systemError(Object.assign(error as Error, { path }))
  }
}

/** The key that is there; undefined where none is, or no key of ours. */
function keptKey(path: string): string | undefined {
  try {
    const key = readFileSync(path, 'utf8')
    return KEY.test(key) ? key : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function newKey(path: string, note: (text: string) => void = () => {}): string {
  const made = `${path}.${process.pid}`
  writeFileSync(made, randomBytes(32).toString('hex'), { mode: 0o600 })
  try {
    // Whole or not there: of several processes that begin at once, one makes it.
    linkSync(made, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (keptKey(path) === undefined) {
      renameSync(made, path)
      note(`${path} was damaged, and is made anew: other hashes than before stand for sensitive values`)
    }
  } finally {
    rmSync(made, { force: true })
  }
  return readFileSync(path, 'utf8')
}
