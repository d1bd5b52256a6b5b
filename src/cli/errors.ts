import { readFileSync, writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { ErrorQuery, ErrorRecord, ErrorState } from '../metadata/errorRecords.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { corrections, toCsv } from '../runs/correctionCsv.ts'
import { homeFolder, openMetadata } from './home.ts'
import { parseCount } from './parse.ts'

const STATES: ErrorState[] = ['open', 'queued', 'reprocessed', 'discarded']
/** Records that one command works on. */
const ALL = 1_000_000

export function errorsCommand(): Command {
  return new Command('errors')
    .description('Rows that were rejected: show, export, correct and reprocess them')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(reprocessCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight errors list --state open\n  nightfreight errors export member_data_warehouse_sync members_clean --out bad.csv\n  nightfreight errors reprocess member_data_warehouse_sync --corrections bad.csv',
    )
}

async function withMetadata<T>(act: (metadata: Metadata) => Promise<T>): Promise<T> {
  const metadata = await openMetadata(homeFolder())
  return act(metadata).finally(() => metadata.close())
}

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

interface ListFlags extends ErrorQuery {
  json?: boolean
}

function listCommand(): Command {
  return new Command('list')
    .description('Show error records, oldest first')
    .option('--job <name>', "only this job's")
    .option('--run <id>', 'only what this run found first')
    .addOption(new Option('--state <state>', 'only in this state').choices(STATES))
    .option('--limit <n>', 'how many', parseCount, 50)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight errors list --state open\n  nightfreight errors list --run 20260201T020000-4f1c9a --json',
    )
    .action(async ({ json, ...query }: ListFlags) => {
      const records = await withMetadata(metadata => metadata.errors.list(query))
      if (json) console.log(JSON.stringify({ records }))
      else if (records.length === 0) console.log('No error records.')
      else
        for (const { id, job, model, state, reason } of records)
          console.log(`${id}  ${job}  ${model}  ${state}  ${reason}`)
    })
}

function showCommand(): Command {
  return new Command('show')
    .description('Show one rejected row with all its values')
    .argument('<id>')
    .addHelpText('after', '\nExample:\n  nightfreight errors show 0f343b0931126a20f133d67c2b018a3b')
    .action(async (id: string) => {
      const record = await withMetadata(metadata => metadata.errors.find(id))
      if (!record)
        throw new EngineError('CONFIG_INVALID', `no error record ${id}`, {
          hint: 'nightfreight errors list shows them.',
        })
      console.log(JSON.stringify(record, null, 2))
    })
}

function exportCommand(): Command {
  return new Command('export')
    .description('Write the open error records of one model as CSV, to be corrected')
    .argument('<job>', "the job's name")
    .argument('<model>', 'the model or extract')
    .option('--out <file>', 'default: standard output')
    .addHelpText(
      'after',
      '\nAn empty value is NULL; an empty text is "".\n\nExample:\n  nightfreight errors export member_data_warehouse_sync members_clean --out bad.csv',
    )
    .action(async (job: string, model: string, { out }: { out?: string }) => {
      const records = await withMetadata(metadata => openRecords(metadata, job))
      const csv = toCsv(records.filter(record => record.model === model))
      if (out === undefined) process.stdout.write(csv)
      else withFile(out, () => writeFileSync(out, csv))
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
        const unknown = ids.find(id => !open.some(record => record.id === id))
        if (unknown)
          throw new EngineError('CONFIG_INVALID', `${job}: no open error record ${unknown}`, {
            hint: 'nightfreight errors list --state open shows them.',
          })
        const wanted = ids.length === 0 ? open : open.filter(({ id }) => ids.includes(id))
        return queue(metadata, wanted, file)
      })
      console.log(`${queued} records join the next run of ${job}`)
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
