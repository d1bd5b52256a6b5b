import { parse } from 'yaml'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { conflict, type DropOptions, dropOptions } from '../drops/options.ts'
import { shellWord } from '../util/shell.ts'

/** Keys of an extract that say how its files are written, as job.yaml has them. */
export type FileKeys = Partial<Record<keyof DropOptions, unknown>>

const text = (value: string) => value
const list = (value: string) => value.split(',').filter(word => word !== '')
const yaml = (value: string): unknown => parse(value)

/** What `--set` takes, and how each value is read. */
const KEYS: Record<string, ((value: string) => unknown) | undefined> = {
  format: text,
  compression: text,
  encoding: text,
  delimiter: value => (value === '\\t' || value === 'tab' ? '\t' : value),
  quote: text,
  escape: text,
  header: yaml,
  skip: yaml,
  schema: yaml,
  null_values: list,
  decimal: text,
  date_format: text,
  timestamp_format: text,
  widths: yaml,
  sheet: text,
  max_row: text,
  max_unpacked: text,
  max_ratio: yaml,
  on_bad_file: text,
} satisfies { [Key in keyof DropOptions]?: (value: string) => unknown }

export const SET_KEYS = Object.keys(KEYS)

/** Reads `KEY=VALUE` of `copy --set`. Fails with CONFIG_INVALID. */
export function readSet(pairs: readonly string[]): FileKeys {
  const keys: Record<string, unknown> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const key = at < 0 ? pair : pair.slice(0, at)
    const read = KEYS[key]
    if (!read || at < 0)
      throw new EngineError(
        'CONFIG_INVALID',
        `--set ${pair}: ${read ? 'has no value' : `there is no key ${JSON.stringify(key)}${didYouMean(key, SET_KEYS)}`}`,
        { hint: read ? `Write --set ${key}=VALUE.` : `Its keys: ${SET_KEYS.join(', ')}.` },
      )
    try {
      keys[key] = read(pair.slice(at + 1))
    } catch (cause) {
      throw new EngineError('CONFIG_INVALID', `--set ${pair}: ${(cause as Error).message.split('\n')[0]}`, {
        cause,
      })
    }
  }
  return keys
}

/** The options of an extract of these files. Fails with CONFIG_INVALID, and the key that is wrong. */
export function optionsOf(files: string[], keys: FileKeys): DropOptions {
  const { data, error } = dropOptions.safeParse({ files, take: 'all', ...keys })
  const [issue] = error?.issues ?? []
  const wrong = issue ? `${issue.path.join('.')}: ${issue.message}` : conflict(data!)
  // A header that is missing is said of the file, with its columns.
  const isSaidOfFile = data && !data.header && !data.schema && data.quote !== ''
  if (wrong !== undefined && !isSaidOfFile)
    throw new EngineError('CONFIG_INVALID', `--set ${wrong}`, {
      hint: 'docs/reference/job.md says what each key may be.',
    })
  return data!
}

/** Keys and values as a person types them. */
export const asFlags = (...pairs: string[]) =>
  pairs.map(pair => `--set ${shellWord(pair.replaceAll('\t', '\\t'))}`).join(' ')
