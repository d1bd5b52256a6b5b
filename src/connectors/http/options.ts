import { z } from 'zod'
import { columnsSchema, fieldPath } from './columns.ts'

/** A path below the connection's URL. */
export const path = z.string().regex(/^\//, { error: 'must begin with a slash' })
const param = z.string().min(1)

/** Keys of an extract that an API serves. */
export const options = z
  .strictObject({
    /** Below the connection's URL; may carry a query of its own. */
    path,
    /**
     * How the next page is asked for: by its number, by the number of records so far, by a cursor that the page holds, by
     * its Link header (rel=next), by a URL that it holds, or not at all. Where nothing is said, a response that leads on is
     * refused.
     */
    paginate: z.enum(['page', 'offset', 'cursor', 'link', 'next', 'none']).optional(),
    /** Where a response holds its records. Like every field of a response: names joined by dots, or listed. */
    records: fieldPath.default('data'),
    /** Records asked for per page. */
    limit: z.int().positive().optional(),
    /** Query parameter that takes the limit. */
    limit_param: param.default('limit'),
    /** Query parameter that takes the page's number. */
    page_param: param.default('page'),
    /** Number of the first page. */
    first_page: z.int().nonnegative().default(1),
    /** Query parameter that takes the number of records so far. */
    offset_param: param.default('offset'),
    /** Under page and offset, without a total: which page is the last, one without records or one with fewer than limit. */
    ends: z.enum(['empty', 'short']).default('empty'),
    /** Where a response says whether more pages follow: true or false. */
    more: fieldPath.optional(),
    /** Where a response says whether it is the last page: true or false. */
    end: fieldPath.optional(),
    /** Under offset: so many records of the page before are asked for again, and must be the same. */
    overlap: z.int().nonnegative().default(0),
    /** Where a response says how many records there are in all: then pages may be read side by side, and are counted. */
    total: fieldPath.optional(),
    /** Where a response holds the next page's cursor: null, absent or empty on the last page. `data.-1.id` is the last record's. */
    cursor: fieldPath.default('next_cursor'),
    /** Query parameter that takes the cursor. */
    cursor_param: param.default('cursor'),
    /** Where a response holds the next page's URL; null, absent or empty on the last page. */
    next: fieldPath.default('next'),
    /** More pages than this are taken for an API that never ends. */
    max_pages: z.int().positive().default(1_000_000),
    /** Query parameter that takes the watermark; a job writes it as `incremental.param`. */
    since_param: param.optional(),
    /** How a watermark of a time is written: ISO 8601, or seconds or milliseconds since 1970, rounded down. */
    since_format: z.enum(['iso', 'epoch', 'epoch_ms']).default('iso'),
    /** Texts that stand for no value in columns of other types than VARCHAR: `[""]`. */
    null_values: z.array(z.string()).default([]),
    schema: columnsSchema,
  })
  .refine(({ ends, limit }) => ends !== 'short' || limit !== undefined, {
    path: ['ends'],
    message: 'expected empty where no limit says what short is',
  })
  .refine(({ more, end }) => more === undefined || end === undefined, {
    path: ['end'],
    message: 'expected one of more and end',
  })
  .refine(({ overlap, paginate }) => overlap === 0 || paginate === 'offset', {
    path: ['overlap'],
    message: 'expected paginate: offset beside it: a page by number cannot begin before its first record',
  })
  .refine(({ overlap, limit = Number.MAX_SAFE_INTEGER }) => overlap < limit, {
    path: ['overlap'],
    message: 'expected less than limit',
  })

/** An extract's keys as parsed. */
export type HttpOptions = z.output<typeof options>
