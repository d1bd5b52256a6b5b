import { createHash } from 'node:crypto'
import type { Document } from './document.ts'
import type { JobFolder } from './folder.ts'

/**
 * Keys of job.yaml that say which rows a run reads, makes and loads. How it comes to a system is none: a new password does
 * not change the job.
 */
const DECIDING = ['vars', 'defaults', 'extract', 'enrich', 'load', 'seeds', 'checks']

/** The hashes of a job's files, and of what references in job.yaml gave: its text is the same whatever that is. */
export function withGiven(
  document: Document,
  { hash, hashes }: JobFolder,
): Pick<JobFolder, 'hash' | 'hashes'> {
  const given = document.given(DECIDING).map(([path, value]) => [path, sha256([path, value])] as const)
  if (given.length === 0) return { hash, hashes }
  return { hash: sha256([hash, ...given]), hashes: { ...hashes, ...Object.fromEntries(given) } }
}

const sha256 = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')
