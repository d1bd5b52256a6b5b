import { z } from 'zod'
import type { Limit } from '../../engine/sql/model.ts'
import { parseNumber } from '../util/units.ts'

const SEVERITIES = ['warn', 'quarantine', 'stop'] as const

/** The number before a `%`; undefined of what is no percentage. */
const percentage = (text: unknown): number | undefined =>
  typeof text === 'string' && /^\s*[\d.]+\s*%\s*$/.test(text)
    ? parseNumber(text.replace('%', '').trim())
    : undefined

const limit = z
  .union([z.string(), z.number()])
  .meta({ description: 'a number of rows, or a share such as 1%' })
  .transform((value, context): Limit => {
    const share = percentage(value)
    if (share !== undefined && share < 100) return { share: share / 100 }
    const rows = parseNumber(value)
    if (rows !== undefined && rows >= 0) return { rows }
    context.addIssue({
      code: 'custom',
      message: 'expected a number of rows, or a share such as 1%, below 100%: no more than all are wrong',
    })
    return z.NEVER
  })

const shareOf = z
  .string()
  .meta({ description: 'a share such as 20%' })
  .transform((value, context): number => {
    const share = percentage(value)
    if (share !== undefined) return share / 100
    context.addIssue({ code: 'custom', message: 'expected a share such as 20%' })
    return z.NEVER
  })

/** Digits beyond which a number of YAML is another than was written. */
const DIGITS = 15
const digitsOf = (value: number) =>
  String(value)
    .replace(/e.*$|\D/g, '')
    .replace(/^0+/, '').length
const number = z
  .number()
  .refine(
    value => digitsOf(value) <= DIGITS && Math.abs(value) < 10 ** DIGITS,
    `expected a number of at most ${DIGITS} digits; one that has more is exact in quotes: "9007199254740993"`,
  )
/** A value that is what was written. */
export const scalar = z.union([z.string(), number, z.boolean()])
const bound = z.union([z.string(), number, z.null()])

/** Of texts that are no moments, nobody knows what order is meant. */
const isAbove = (one: string | number, other: string | number) =>
  (typeof one === 'number' || /^\d{4}-\d\d/.test(one)) && one > other

/** What is demanded of a column's values. */
export const rules = z.strictObject({
  unique: z.literal(true).optional(),
  not_null: z.literal(true).optional(),
  in: z
    .string()
    .regex(/^[^.]+\.[^.]+$/, 'expected table.column')
    .optional(),
  one_of: z.array(scalar).min(1).optional(),
  between: z
    .tuple([bound, bound])
    .refine(([least, most]) => least !== null || most !== null, 'expected a bound: [0, null], or [null, 100]')
    .refine(
      ([least, most]) =>
        least === null || most === null || typeof least !== typeof most || !isAbove(least, most),
      'the least value goes first: none is between these',
    )
    .optional(),
  matches: z.string().min(1).optional(),
  drift: shareOf.optional(),
  severity: z.enum(SEVERITIES).optional(),
  warn_if: limit.optional(),
  stop_if: limit.optional(),
})

const word = z.enum(['unique', 'not_null'])
const item = z.union([word, rules])
const columnRules = z.union([word, rules, z.array(item).min(1)])

const tableRules = z.object({
  rows: z
    .strictObject({
      min: number.optional(),
      max: number.optional(),
      change: shareOf.optional(),
      severity: z.enum(['warn', 'stop']).default('stop'),
    })
    .refine(({ min, max }) => min === undefined || max === undefined || min <= max, 'min is above max')
    .optional(),
  fresh: z
    .union([
      z.string(),
      z.strictObject({
        column: z.string(),
        within: z.string(),
        severity: z.enum(['warn', 'stop']).default('stop'),
      }),
    ])
    .optional(),
})

/** `checks:` of job.yaml: table → column → what is demanded of its values; `rows` and `fresh` are of the table. */
export const checksSchema = z.record(z.string(), tableRules.catchall(columnRules))

export type Rules = z.output<typeof rules>
export type ColumnRules = z.output<typeof columnRules>
export type TableRules = z.output<typeof tableRules>
