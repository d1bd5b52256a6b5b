import { readFileSync, writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { ErrorCount, ErrorQuery, ErrorRecord, ErrorState } from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { corrections, toCsv } from '../runs/correctionCsv.ts'
import { openMask, shownRecord } from '../runs/mask.ts'
import { printable } from '../util/printable.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseTime } from './parse.ts'

const STATES: ErrorState[] = ['open', 'queued', 'reprocessed', 'resolved', 'discarded']
/** Records that one command works on. */
const ALL = 1_000_000

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

/** Options that say which records are meant. */
function filtered(command: Command): Command {
  return command
    .option('--run <id>', 'only what this run found first')
    .option('--table <name>', 'only of this model or extract')
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
    .option('--job <name>', "only this job's")
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
      else if (records.length === 0) print(`No ${state === 'all' ? '' : `${state} `}error records.`)
      else print(listText(records, counts))
    })
}

function listText(records: ErrorRecord[], counts: ErrorCount[]): string {
  const lines = records.map(({ id, job, table_name, row_key, state, reason }) =>
    [id, job, table_name, ...(row_key === null ? [] : [`key ${row_key}`]), state, reason]
      .map(printable)
      .join('  '),
  )
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
    .argument('<job>', "the job's name")
    .argument('[ids...]', 'these, of those that the options name')
    .addHelpText(
      'after',
      '\nA row that is found again is not told of again. Ids or an option must say which.\n\nExamples:\n  nightfreight errors discard member_data_warehouse_sync 0f343b0931126a20f133d67c2b018a3b\n  nightfreight errors discard member_data_warehouse_sync --table members_clean --reason name',
    )
    .action(async (job: string, ids: string[], filters: Filters) => {
      const query = queryOf({ ...filters, job })
      const { job: _, ...narrower } = query
      if (ids.length === 0 && Object.values(narrower).every(value => value === undefined))
        throw new EngineError('CONFIG_INVALID', `${job}: nothing says which records`, {
          hint: `nightfreight errors discard ${job} --table TABLE, or the ids of nightfreight errors list.`,
        })
      const discarded = await withMetadata(async ({ errors }) => {
        const open = await errors.list({ ...query, state: 'open', limit: ALL })
        refuseUnknown(job, ids, open)
        const wanted = ids.length === 0 ? open : open.filter(({ id }) => ids.includes(id))
        let moved = 0
        for (const { id } of wanted) if (await errors.move(id, 'open', 'discarded')) moved++
        return moved
      })
      print(`${discarded} records are discarded`)
    })
}

function refuseUnknown(job: string, ids: string[], open: ErrorRecord[]): void {
  const unknown = ids.find(id => !open.some(record => record.id === id))
  if (unknown)
    throw new EngineError('CONFIG_INVALID', `${job}: no open error record ${unknown}`, {
      hint: `nightfreight errors list --job ${job} shows them.`,
    })
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
  return new Command('export')
    .description('Write the open error records of one model as CSV, to be corrected')
    .argument('<job>', "the job's name")
    .argument('<model>', 'the model or extract')
    .option('--out <file>', 'default: standard output')
    .option('--exact', 'the exact bytes: formulas, control characters and sensitive values, too')
    .addHelpText(
      'after',
      '\nAn empty value is NULL; an empty text is "". A value that a spreadsheet would compute begins with a quote (\').\nOf sensitive columns it has what stands for their values (masked-…): leave that as it is, or write the right value.\n\nExample:\n  nightfreight errors export member_data_warehouse_sync members_clean --out bad.csv',
    )
    .action(async (job: string, model: string, { out, exact }: { out?: string; exact?: boolean }) => {
      const mask = ownMask()
      const records = await withMetadata(metadata => openRecords(metadata, job))
      const csv = toCsv(
        records
          .filter(record => record.table_name === model)
          .map(record => (exact ? record : shownRecord(mask, record))),
        exact,
      )
      if (out === undefined) process.stdout.write(csv)
      else withFile(out, () => writeFileSync(out, csv, { mode: 0o600 }))
    })
}

const openRecords = (metadata: Metadata, job: string) =>
  metadata.errors.list({ job, state: 'open', limit: ALL })

function reprocessCommand(): Command {
  return new Command('reprocess')
    .description('Have the next run take rejected rows again: as corrected, or by a model that was changed')
    .argument('<job>', "the job's name")
    .argument('[ids...]', 'only these (default: all open ones, or those that the CSV corrects)')
    .option('--corrections <file>', 'CSV of errors export, corrected')
    .addHelpText(
      'after',
      `
A corrected row takes the place of the rejected one in the next run and in later ones, once, as long as the source
gives that very row. Without --corrections: the model or check was changed, and the next run tells what became of them.

Examples:
  nightfreight errors reprocess member_data_warehouse_sync --corrections bad.csv
  nightfreight errors reprocess member_data_warehouse_sync`,
    )
    .action(async (job: string, ids: string[], { corrections: file }: { corrections?: string }) => {
      const queued = await withMetadata(async metadata => {
        const open = await openRecords(metadata, job)
        refuseUnknown(job, ids, open)
        const wanted = ids.length === 0 ? open : open.filter(({ id }) => ids.includes(id))
        return queue(metadata, wanted, file)
      })
      print(`${queued} records join the next run of ${job}`)
    })
}

async function queue(metadata: Metadata, records: ErrorRecord[], file: string | undefined): Promise<number> {
  const byId = new Map(records.map(record => [record.id, record]))
  const corrected =
    file === undefined
      ? undefined
      : corrections(
          withFile(file, () => readFileSync(file, 'utf8')),
          file,
          byId,
          ownMask(),
        )
  let queued = 0
  for (const { id } of records) {
    const values = corrected?.get(id)
    if (corrected && !values) continue
    if (values && !(await metadata.errors.correct(id, values))) continue
    if (await metadata.errors.move(id, 'open', 'queued')) queued++
  }
  return queued
}
