import { isUtf8 } from 'node:buffer'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { widthOf } from '../../engine/width.ts'
import {
  type ErrorCount,
  type ErrorQuery,
  type ErrorRecord,
  type ErrorState,
  UNCLOSED,
} from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { corrections, csvOf, idsIn } from '../runs/correctionCsv.ts'
import { openMask, shownRecord } from '../runs/mask.ts'
import { printable } from '../util/printable.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob, parseTime } from './parse.ts'
import { terminalWidth } from './tableText.ts'

const STATES: ErrorState[] = ['open', 'queued', 'reprocessed', 'resolved', 'discarded']

export function errorsCommand(): Command {
  return new Command('errors')
    .description('Rows that were rejected: show, export, correct and reprocess them')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(reprocessCommand())
    .addCommand(discardCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight errors list\n  nightfreight errors export member_data_warehouse_sync members_clean --out bad.csv\n  nightfreight errors reprocess member_data_warehouse_sync --corrections bad.csv',
    )
}

async function withMetadata<T>(act: (metadata: Metadata) => Promise<T>): Promise<T> {
  const metadata = await openMetadata(homeFolder())
  return act(metadata).finally(() => metadata.close())
}

const ownMask = () => openMask(homeFolder(), process.env)

/** Reads or writes a file that the command line names. */
function withFile<T>(file: string, act: () => T): T {
  try {
    return act()
  } catch (cause) {
    throw new EngineError('CONFIG_INVALID', `${file}: ${(cause as Error).message}`, {
      cause,
      hint: 'Check the path, and who may read and write there.',
    })
  }
}

interface Filters {
  job?: string
  run?: string
  table?: string
  key?: string[]
  reason?: string
  since?: Date
}

/** Options that say which records are meant, of a table that is named some other way or of all. */
function filtered(command: Command, hasTable = false): Command {
  if (!hasTable) command.option('--table <name>', 'only of this model or extract')
  return command
    .option('--run <id>', 'only what this run found first')
    .option(
      '--key <values...>',
      'only the row of this key; its values in order, where it has several columns',
    )
    .option('--reason <text>', 'only where the check or the reason has this in it')
    .option('--since <time>', 'only what was found at this time or later, ISO 8601', parseTime)
}

const queryOf = ({ job, run, table, key, reason, since }: Filters): Omit<ErrorQuery, 'limit'> => ({
  job,
  run,
  table,
  reason,
  ...(key && { key: key.length === 1 ? key[0]! : JSON.stringify(key) }),
  ...(since && { since: since.toISOString() }),
})

interface ListFlags extends Filters {
  state: ErrorState | 'all'
  limit: number
  json?: boolean
}

function listCommand(): Command {
  return filtered(new Command('list').description('Show error records, newest first, and how many by reason'))
    .option('--job <job>', "only this job's: its folder, or its name", parseJob)
    .addOption(new Option('--state <state>', 'in which state').choices([...STATES, 'all']).default('open'))
    .option('--limit <n>', 'how many', parseCount, 50)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight errors list --table members_clean --reason name\n  nightfreight errors list --key 20412 --state all\n  nightfreight errors list --run 20260201T020000-4f1c9a --json',
    )
    .action(async ({ json, state, limit, ...filters }: ListFlags) => {
      const query = { ...queryOf(filters), ...(state !== 'all' && { state }) }
      const mask = ownMask()
      const { records, counts } = await withMetadata(async ({ errors }) => ({
        records: (await errors.list({ ...query, limit })).map(each => shownRecord(mask, each)),
        counts: await errors.count(query),
      }))
      if (json) print(JSON.stringify({ records, counts }))
      else if (counts.length === 0) print(`No ${state === 'all' ? '' : `${state} `}error records.`)
      else print(listText(records, counts))
    })
}

function listText(records: ErrorRecord[], counts: ErrorCount[]): string {
  const lines = records.map(({ id, job, table_name, row_key, state, reason }) => {
    const head = [id, job, table_name, ...(row_key === null ? [] : [`key ${row_key}`]), state]
    const line = [...head, reason].map(printable).join('  ')
    const fits = widthOf(line) <= (terminalWidth() ?? Infinity)
    return fits ? line : `${head.map(printable).join('  ')}\n    ${printable(reason)}`
  })
  const all = counts.reduce((sum, { records }) => sum + Number(records), 0)
  if (records.length < all) lines.push(`… ${records.length} of ${all}: --limit shows more`)
  const groups = counts.map(
    ({ job, table_name, check_name, state, records }) =>
      `${String(records).padStart(8)}  ${[job, table_name, check_name, state].map(printable).join('  ')}`,
  )
  return [...lines, '', ...groups].join('\n')
}

function discardCommand(): Command {
  return filtered(
    new Command('discard').description(
      'Close open records by hand: there is nothing to mend, or nobody will',
    ),
  )
    .argument('<job>', "the job's folder, or its name", parseJob)
    .argument('[ids...]', 'these, of those that the options name')
    .addHelpText(
      'after',
      '\nA row that is found again is not told of again. Ids or an option must say which. One that is named by its id may be\nqueued, or reprocessed, too: its correction holds no more.\n\nExamples:\n  nightfreight errors discard member_data_warehouse_sync 0f343b0931126a20f133d67c2b018a3b\n  nightfreight errors discard member_data_warehouse_sync --table members_clean --reason name',
    )
    .action(async (job: string, ids: string[], filters: Filters) => {
      const query = queryOf({ ...filters, job })
      const { job: _, ...narrower } = query
      if (ids.length === 0 && Object.values(narrower).every(value => value === undefined))
        throw new EngineError('CONFIG_INVALID', `${job}: nothing says which records of this job`, {
          hint: 'nightfreight errors discard JOB --table TABLE, or the job and ids of nightfreight errors list.',
        })
      const discarded = await withMetadata(async metadata => {
        if (ids.length === 0) return metadata.errors.moveAll(query, 'open', 'discarded')
        await refuseUnknown(metadata, job, ids, UNCLOSED)
        return metadata.errors.discard({ ...query, ids })
      })
      print(`${counted(discarded, 'record')} ${discarded === 1 ? 'is' : 'are'} discarded`)
    })
}

/** Fails with CONFIG_INVALID where one of these is no record of the job in one of these states. */
async function refuseUnknown(
  { errors }: Metadata,
  job: string,
  ids: string[],
  states: readonly ErrorState[],
): Promise<void> {
  const known = new Set((await errors.among(ids, states, { job })).map(({ id }) => id))
  const unknown = ids.find(id => !known.has(id))
  const [first, ...others] = states
  if (unknown !== undefined)
    throw new EngineError(
      'CONFIG_INVALID',
      `${job}: no ${first} error record ${unknown}${others.length > 0 ? `, nor one that is ${others.join(' or ')}` : ''}`,
      { hint: `nightfreight errors list --job ${job}${others.length > 0 ? ' --state all' : ''} shows them.` },
    )
}

function showCommand(): Command {
  return new Command('show')
    .description('Show one rejected row with all its values; of sensitive columns, what stands for them')
    .argument('<id>')
    .addHelpText('after', '\nExample:\n  nightfreight errors show 0f343b0931126a20f133d67c2b018a3b')
    .action(async (id: string) => {
      const record = await withMetadata(metadata => metadata.errors.find(id))
      if (!record)
        throw new EngineError('CONFIG_INVALID', `no error record ${id}`, {
          hint: 'nightfreight errors list shows them.',
        })
      print(JSON.stringify(shownRecord(ownMask(), record), null, 2))
    })
}

function exportCommand(): Command {
  return filtered(
    new Command('export').description('Write the open error records of one model as CSV, to be corrected'),
    true,
  )
    .argument('<job>', "the job's folder, or its name", parseJob)
    .argument('<model>', 'the model or extract')
    .option('--out <file>', 'default: standard output')
    .option('--exact', 'the exact bytes: formulas, control characters and sensitive values, too')
    .addHelpText(
      'after',
      '\nAn empty value is NULL; an empty text is "". A value that a spreadsheet would compute begins with a quote (\').\nOf sensitive columns it has what stands for their values (masked-…): leave that as it is, or write the right value.\nA line of a file that is no row has a column of its own: it is corrected in its file, and left as it is here.\n\nExamples:\n  nightfreight errors export member_data_warehouse_sync members_clean --out bad.csv\n  nightfreight errors export member_data_warehouse_sync members_clean --since 2026-02-01 --out bad.csv',
    )
    .action(async (job: string, model: string, { out, exact = false, ...filters }: ExportFlags) => {
      const query: Omit<ErrorQuery, 'limit'> = {
        ...queryOf({ ...filters, job, table: model }),
        state: 'open',
      }
      await withMetadata(({ errors }) => {
        const mask = exact ? undefined : ownMask()
        const shown = (record: ErrorRecord) => (mask ? shownRecord(mask, record) : record)
        return writing(out, async write => {
          for await (const text of csvOf(() => errors.pages(query), shown, exact)) write(text)
        })
      })
    })
}

interface ExportFlags extends Filters {
  out?: string
  exact?: boolean
}

/** Gives `act` what writes to a file that the command line names, or to standard output. */
async function writing(
  file: string | undefined,
  act: (write: (text: string) => void) => Promise<void>,
): Promise<void> {
  if (file === undefined) return act(text => void process.stdout.write(text))
  const handle = withFile(file, () => openSync(file, 'w', 0o600))
  try {
    await act(text => {
      withFile(file, () => writeSync(handle, text))
    })
  } finally {
    closeSync(handle)
  }
}

interface ReprocessFlags extends Filters {
  corrections?: string
}

function reprocessCommand(): Command {
  return filtered(
    new Command('reprocess').description(
      'Have the next run take rejected rows again: as corrected, or by a model that was changed',
    ),
  )
    .argument('<job>', "the job's folder, or its name", parseJob)
    .argument(
      '[ids...]',
      'only these (default: all open ones that the options name, or those that the CSV corrects)',
    )
    .option('--corrections <file>', 'CSV of errors export, corrected')
    .addHelpText(
      'after',
      `
A corrected row takes the place of the rejected one in the next run and in later ones, once, as long as the source
gives that very row, and nothing later with the key that it was given; another CSV with its id corrects it otherwise.
Without --corrections: the model or check was changed, and the next run tells what became of them; rows that it does
not read again, as of an extract that reads what is new, are open again.

Examples:
  nightfreight errors reprocess member_data_warehouse_sync --corrections bad.csv
  nightfreight errors reprocess member_data_warehouse_sync
  nightfreight errors reprocess member_data_warehouse_sync --table members_clean --reason name`,
    )
    .action(async (job: string, ids: string[], { corrections: file, ...filters }: ReprocessFlags) => {
      const query = { ...queryOf({ ...filters, job }), ...(ids.length > 0 && { ids }) }
      const queued = await withMetadata(async metadata => {
        await refuseUnknown(metadata, job, ids, file === undefined ? ['open'] : UNCLOSED)
        if (file === undefined) return metadata.errors.moveAll(query, 'open', 'queued')
        return queueCorrected(metadata, query, file)
      })
      print(`${counted(queued, 'record')} ${queued === 1 ? 'joins' : 'join'} the next run of ${job}`)
    })
}

/** Queues what a CSV corrects, each of which is to be one of those that are wanted. */
async function queueCorrected(
  { errors }: Metadata,
  { ids, ...wanted }: Omit<ErrorQuery, 'limit'>,
  file: string,
): Promise<number> {
  const bytes = withFile(file, () => readFileSync(file))
  if (!isUtf8(bytes))
    throw new EngineError('CONFIG_INVALID', `${file} is not UTF-8`, {
      hint: 'Save it as CSV in UTF-8 (in Excel: “CSV UTF-8”): in another encoding, values that nobody has corrected would be others.',
    })
  const csv = bytes.toString('utf8')
  const inFile = idsIn(csv)
  const lacking = ids?.find(id => !inFile.includes(id))
  if (lacking !== undefined)
    throw new EngineError('CONFIG_INVALID', `${file} has no row with the id ${lacking}`, {
      hint: 'Leave that id out, or export it, too.',
    })
  const given = inFile.filter(id => ids?.includes(id) ?? true)
  const records = await errors.among(given, UNCLOSED, wanted)
  return errors.queueCorrected(
    corrections(csv, file, new Map(records.map(each => [each.id, each])), ownMask(), ids),
    UNCLOSED,
  )
}
