import { posix } from 'node:path'
import { z } from 'zod'
import { declaredSchema } from '../connectors/declare/declared.ts'
import { isEncoding } from '../formats/blocks.ts'
import { FORMATS, type Format, usualDelimiter } from '../formats/byName.ts'
import { hasOffset } from '../formats/strptime.ts'
import type { TextFormat } from '../formats/textFormat.ts'
import { parseBytes, parseDuration } from '../util/units.ts'
import type { Aside } from './aside.ts'

const ascii = z.string().regex(/^[\t\x20-\x7e]$/, { error: 'must be one ASCII character' })
const pattern = z.string().min(1)
/** What strptime of DuckDB knows behind a percent sign. */
const strptime = z
  .string()
  .min(1)
  .refine(text => !/%/.test(text.replace(/%(-[dHIjmMSUWy]|[aAbBcdfgGHIjmMnpSuUVwWxXyYzZ%])/g, '')), {
    error:
      'has a % that stands for nothing: %d day, %m month, %Y year, %H %M %S the time, %f its fraction, %z the offset',
  })
const bytes = z.string().transform((value, context): number => {
  const parsed = parseBytes(value)
  if (parsed !== undefined) return parsed
  context.addIssue({ code: 'custom', message: 'expected a size such as 100MB' })
  return z.NEVER
})
const millis = z.union([z.string(), z.literal(0)]).transform((value, context): number => {
  const micros = value === 0 ? 0 : parseDuration(value)
  if (micros !== undefined) return micros / 1000
  context.addIssue({ code: 'custom', message: 'expected a duration such as 30s' })
  return z.NEVER
})

/** Keys of an extract that files of a drop hold, whatever the store. */
export const dropOptions = z.strictObject({
  /** Globs below the drop: `*corrections*.csv`, `in/**\/*.ndjson.gz`. */
  files: z
    .union([pattern, z.array(pattern).min(1)])
    .transform(files => (Array.isArray(files) ? files : [files])),
  /** `new`: each file once. `all`: every file, every run: a table that its files hold whole. */
  take: z.enum(['new', 'all']).default('new'),
  /** Which file comes first; of two rows with one key, the later file's stays. */
  order: z.enum(['name', 'mtime']).default('name'),
  /** A new file is taken only when its size and time have not changed for so long: `30s`. */
  settle: millis.prefault(0),
  /** A new file is taken only when this one is there too: `{name}.done`. */
  marker: z.string().includes('{name}').optional(),
  /** What becomes of a file once its rows are committed: archive is move into a folder per run. */
  after: z.enum(['keep', 'move', 'delete', 'archive']).default('keep'),
  /** Folder below the drop that `after` moves to. */
  to: z
    .string()
    .transform(to => posix.normalize(to).replace(/\/+$/, ''))
    .refine(to => !/^(\/|$|\.$|\.\.(\/|$))/.test(to), {
      error: 'is a folder below the drop, without a slash first',
    })
    .optional(),
  /** What a file that cannot be read does: stop the run, or be left where it is while the others load. */
  on_bad_file: z.enum(['fail', 'quarantine']).default('fail'),
  /** Default: by the file's name, CSV where that tells none. */
  format: z.enum(FORMATS).optional(),
  /** Default: by the file's name. */
  compression: z.enum(['auto', 'none', 'gzip', 'zstd', 'bzip2', 'zip']).default('auto'),
  /** Bytes a file may have unpacked, and how many times its packed size. */
  max_unpacked: bytes.prefault('1TB'),
  max_ratio: z.number().positive().default(1000),
  /** As the WHATWG names it: `utf-8`, `utf-16`, `windows-1252`; latin1 is ISO 8859-1 itself. */
  encoding: z
    .string()
    .refine(isEncoding, {
      error: ({ input }) =>
        `there is no encoding ${JSON.stringify(input)}: utf-8, utf-16, latin1, windows-1252, windows-1250, shift_jis, gbk …`,
    })
    .default('utf-8'),
  delimiter: ascii.optional(),
  quote: z.union([ascii, z.literal('')]).default('"'),
  /** Default: the quote, doubled. With `quote: ""`, as dumps of MySQL and COPY have it: `\\N` is then NULL. */
  escape: ascii.optional(),
  /** Words that stand for a missing value where they are not quoted, beside the empty field: `[NULL, "n/a"]`. */
  null_values: z.array(z.string().min(1)).default([]),
  /** The sign before a number's fraction. */
  decimal: z.enum(['.', ',']).default('.'),
  /** How days and moments are written, as strptime names it: `%d.%m.%Y`; default ISO 8601. */
  date_format: strptime.optional(),
  timestamp_format: strptime.optional(),
  /** Bytes of the longest row. */
  max_row: bytes.prefault('16MB'),
  /** Whether the first line names the columns; without it they come in the order of the schema. */
  header: z.boolean().default(true),
  /** Lines before the header, or before the first row. */
  skip: z.int().nonnegative().default(0),
  /** Of format fixed: characters of each column, in order; names beyond the schema are passed over. */
  widths: z.record(z.string(), z.int().positive()).optional(),
  /** Of format excel: the sheet's name; default the first. */
  sheet: z.string().optional(),
  /** Default: inferred from all values of the first night, and kept. */
  schema: declaredSchema.optional(),
})

export interface DropOptions extends z.infer<typeof dropOptions> {
  /** Where extracts of the job move files of this drop. */
  aside?: Aside[]
}

/** Whether files go from where they lie once their rows are committed, by the options of any extract. */
export const takesAway = (options: { after?: DropOptions['after'] }): boolean =>
  (options.after ?? 'keep') !== 'keep'

/** The keys that say how a text is written, of a file in this format. */
export function textFormat(options: DropOptions, format: Format): TextFormat {
  return { ...options, format: format as TextFormat['format'] }
}

/** What is wrong with options that are right one by one; undefined where nothing is. */
export function conflict(options: DropOptions): string | undefined {
  const { after, to, take, format, widths, schema, header, delimiter, quote, null_values, date_format } =
    options
  if ((after === 'move' || after === 'archive') && to === undefined)
    return `after: ${after} needs to: a folder`
  if (to !== undefined && after !== 'move' && after !== 'archive') return `to: is for after: move or archive`
  if (take === 'all' && after !== 'keep') return 'take: all reads every file again, so after: must be keep'
  if (format === 'fixed' && !widths) return 'format: fixed needs widths: { column: characters }'
  if (!header && !schema && format !== 'fixed') return 'header: false needs schema:, which names the columns'
  if (delimiter && /[0-9"]/.test(delimiter)) return 'delimiter: cannot be a digit or a quote'
  if ((format === 'json' || format === 'ndjson') && null_values.length > 0)
    return 'null_values: is for text without a null of its own; JSON has one'
  if (date_format !== undefined && hasOffset(date_format))
    return 'date_format: cannot have %z or %Z: a day has no offset. Declare such a column TIMESTAMPTZ, and write timestamp_format'
  const ordered = widths ?? (header ? {} : schema)
  const digits = Object.keys(ordered ?? {}).find(name => /^(0|[1-9]\d*)$/.test(name))
  if (digits !== undefined)
    return `a column called ${digits} would come before the others, whatever the order they are written in: call it c${digits}`
  const mark =
    format === 'fixed'
      ? undefined
      : [quote, delimiter ?? usualDelimiter(format), '\n'].find(
          mark => mark !== '' && null_values.some(word => word.includes(mark)),
        )
  if (mark !== undefined)
    return `null_values: cannot hold ${JSON.stringify(mark)}: a field with it is quoted, and so a value`
  return undefined
}
