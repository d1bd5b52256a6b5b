import { z } from 'zod'
import { declaredSchema } from '../declared.ts'
import { defineConnector } from '../define.ts'
import { HttpSource } from './source.ts'
import { TYPES } from './types.ts'

const path = z.string().regex(/^\//, { error: 'must begin with a slash' })
const field = z.string().min(1)

/** Keys of an extract that an API serves. */
export const options = z.strictObject({
  /** Below the connection's URL; may carry a query of its own. */
  path,
  paginate: z.enum(['cursor', 'none']).default('none'),
  /** Where a response holds its records: field names joined by dots. */
  records: field.default('data'),
  /** Where a response holds the next page's cursor; null, absent or empty on the last page. */
  cursor: field.default('next_cursor'),
  /** Query parameter that takes the cursor. */
  cursor_param: field.default('cursor'),
  /** Records asked for per page, in the query parameter `limit`. */
  limit: z.int().positive().optional(),
  /** Query parameter that takes the watermark, as ISO 8601; a job writes it as `incremental.param`. */
  since_param: field.optional(),
  schema: declaredSchema,
})

/** JSON over HTTP as a source: page after page, numbers to the last digit as the server wrote them. */
export const http = defineConnector({
  name: 'http',
  schemes: ['http', 'https'],
  config: z.strictObject({
    url: z.url({ protocol: /^https?$/ }),
    /** Sent as `Authorization: Bearer`. */
    token: z.string().min(1).optional(),
    /** What a probe asks for. */
    health: path.default('/health'),
    /** Seconds that one response may take. */
    timeout: z.number().positive().default(30),
  }),
  extract: options,
  capabilities: {
    source: true,
    target: false,
    snapshot: false,
    parallel: false,
    incremental: true,
    modes: [],
  },
  types: TYPES,
  source: ({ url, token, health, timeout }, { name }) =>
    new HttpSource({ name, url, token, timeout }, health),
})
