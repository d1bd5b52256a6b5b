import { isMapping } from '../util/mapping.ts'
import type { Document } from './document.ts'

/** Keys of job.yaml that may also stand together below `batch_processing`. */
export const BATCH_KEYS = ['resources', 'parallelism', 'connection_pools', 'chunking', 'compression'] as const

/** The content with what stands below `batch_processing` at the top, where it means the same; what is at both is a problem. */
export function withoutBlock(document: Document, value: unknown): unknown {
  if (!isMapping(value) || !isMapping(value.batch_processing)) return value
  const { batch_processing: block, ...rest } = value
  const known = Object.entries(block).filter(([key]) => BATCH_KEYS.some(name => name === key))
  for (const [key] of known)
    if (Object.hasOwn(rest, key))
      document.problem(
        ['batch_processing', key],
        `batch_processing.${key}: ${key} is also at the top of the file: write it once`,
        'key',
      )
    else document.derive([key], ['batch_processing', key])
  const unknown = Object.entries(block).filter(([key]) => !BATCH_KEYS.some(name => name === key))
  return {
    ...Object.fromEntries(known),
    ...rest,
    ...(unknown.length > 0 && { batch_processing: Object.fromEntries(unknown) }),
  }
}
