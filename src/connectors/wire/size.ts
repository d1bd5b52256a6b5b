import { z } from 'zod'
import { parseBytes } from '../../util/units.ts'

/** A size such as `64MB`, in bytes. */
export const size = z.string().transform((value, context): number => {
  const parsed = parseBytes(value)
  if (parsed !== undefined) return parsed
  context.addIssue({ code: 'custom', message: 'expected a size such as 64MB' })
  return z.NEVER
})
