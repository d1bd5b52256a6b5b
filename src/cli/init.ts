import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { nameParts } from '../connectors/sql/names.ts'
import type { CopySource } from '../copy/request.ts'
import type { SurveyedTable } from '../init/survey.ts'
import type { FilesSurvey } from '../init/surveyFiles.ts'
import { shellWord } from '../util/shell.ts'
import { formatCount } from './meter.ts'
import { print } from './output.ts'
import { parseEach, parseList } from './parse.ts'
import { stoppable } from './signals.ts'
import { aligned } from './table.ts'

interface InitFlags {
  from?: string
  to?: string
  tables?: string[]
  exclude?: string[]
  schema?: string
  set?: string[]
}

export function initCommand(): Command {
  return new Command('init')
    .description('Look at a database or files, and write a job of their tables that runs at once')
    .argument('[folder]', 'where to (default: queries/ and the name of the source)')
    .option(
      '--from <url>',
      'postgres://…, mysql://…, files or a folder of them: on disk, s3://…, sftp://… (asked for on a terminal)',
    )
    .option('--to <url>', 'postgres://…, mysql://…, duckdb:FILE, lake:FOLDER (asked for on a terminal)')
    .option('--tables <globs>', 'tables of the job (default: all)', parseList)
    .option('--exclude <globs>', 'tables to leave out', parseList)
    .option('--schema <name>', 'schema of the target that tables go to')
    .option(
      '--set <key=value>',
      'how files are written, where that is not found: delimiter, encoding, …; of one table among several: orders.encoding=latin1; repeatable',
      parseEach,
    )
    .addHelpText(
      'after',
      `
Writes job.yaml with comments, a model and checks to begin with, connections.yaml, .env (where the URLs are), .env.example,
.gitignore and a workflow for CI. Of a database no row is read; what is there already is not written over.

Files whose names differ in numbers alone (orders_2026-01-31.csv) are one table. How they are written, their columns and types are
found, shown with three rows, and written into the job.

Examples:
  nightfreight init queries/shop --from "$SHOP_URL" --to duckdb:warehouse.duckdb --exclude "tmp_*"
  nightfreight init queries/deliveries --from ./deliveries --to "$WAREHOUSE_URL" --schema raw`,
    )
    .action(async (folder: string | undefined, flags: InitFlags) => {
      await stoppable(({ signal }) => init(folder, flags, signal))
    })
}

async function init(named: string | undefined, flags: InitFlags, signal: AbortSignal): Promise<void> {
  const { from, to } = await asked(flags)
  const { readEnds } = await import('../copy/request.ts')
  const { survey, connectionName } = await import('../init/survey.ts')
  const { writeProject } = await import('../init/project.ts')
  const ends = readEnds(from, to)
  const { url, files, folder: isFolder } = ends.from
  const { exclude = [], set = [], schema } = flags
  const wanted = { tables: [...ends.tables, ...(flags.tables ?? [])], exclude, set }
  const hasFiles = files !== undefined || isFolder === true
  if (!hasFiles && set.length > 0)
    throw new EngineError('CONFIG_INVALID', '--set is for files: it says how they are written')
  const { tables, left, views }: FilesSurvey & { views: string[] } = hasFiles
    ? { ...(await lookAt(ends.from, wanted, signal)), views: [] }
    : { ...(await survey(url, wanted, signal)), left: [] }
  if (tables.length === 0)
    throw new EngineError('TABLE_MISSING', 'there is no table for the job', {
      hint: hasFiles
        ? `Give other --tables or --exclude, or name the files: --from 'FOLDER/*.dat'.${left.length > 0 ? ` ${leftText(left)}` : ''}`
        : views.length > 0
          ? `There are views, which are taken where they are named in full: --tables ${views.slice(0, 5).join(',')}`
          : 'Give other --tables or --exclude, or grant the user SELECT.',
    })
  const [source, target] = [connectionName(url), connectionName(ends.to)]
  const folder = named ?? `queries/${source}`
  const job = folder
    .split(/[\\/]/)
    .filter(Boolean)
    .at(-1)!
    .replace(/[^A-Za-z0-9_-]/g, '_')
  const names =
    source === target ? { from: `${source}_source`, to: `${target}_target` } : { from: source, to: target }
  const written = writeProject(
    folder,
    { job, ...names, tables, ...(schema && { schema }) },
    { from: url, to: ends.to },
  )
  print(`${hasFiles ? await foundFiles(tables, left) : await found(tables, views)}\n\nWritten:\n${written.map(file => `  ${file}`).join('\n')}\n
Next:
  nightfreight doctor ${shellWord(folder)}      # what is missing, if anything
  nightfreight test ${shellWord(folder)}        # the model, with the case in tests/
  nightfreight run ${shellWord(folder)}         # tonight's run; the same line tomorrow loads what changed`)
}

/** The tables, a line each, and what is left out. */
async function found(tables: SurveyedTable[], views: string[]): Promise<string> {
  const { viewsText } = await import('./foundText.ts')
  const lines = aligned([
    ['table', 'rows', 'key'],
    ...tables.map(({ extract, table, rows, key, watermark }) => [
      nameParts(table).at(-1) === extract ? table : `${table} (called ${extract})`,
      rows === undefined ? '?' : `~${formatCount(rows)}`,
      `${key.join(', ') || 'none'}${watermark ? `; changes by ${watermark.column} (${watermark.why})` : ''}`,
    ]),
  ])
  return [...lines, ...(views.length > 0 ? ['', viewsText(views, 'taken')] : [])].join('\n')
}

async function lookAt(
  from: CopySource,
  wanted: { tables: string[]; exclude: string[]; set: string[] },
  signal: AbortSignal,
): Promise<FilesSurvey> {
  const { openFiles } = await import('../copy/source.ts')
  const { surveyFiles } = await import('../init/surveyFiles.ts')
  const source = openFiles(from.url)
  try {
    return await surveyFiles(source, from, wanted, signal)
  } finally {
    await source.close()
  }
}

/** How the files of each table are written, with their first rows. */
async function foundFiles(tables: SurveyedTable[], left: FilesSurvey['left']): Promise<string> {
  const { foundText } = await import('./foundText.ts')
  const { formatFiles } = await import('../init/job.ts')
  const blocks = tables.map(
    ({ extract, files }) =>
      `${extract}: ${formatFiles(files!.count, files!.bytes)}\n${foundText(files!.found)}`,
  )
  return [...blocks, ...(left.length > 0 ? [leftText(left)] : [])].join('\n\n')
}

const SHOWN = 10

function leftText(left: FilesSurvey['left']): string {
  const shown = left.slice(0, SHOWN).map(({ name, why }) => `${JSON.stringify(name)} (${why})`)
  const more = left.length > SHOWN ? `, and ${formatCount(left.length - SHOWN)} more` : ''
  return `In no table: ${shown.join(', ')}${more}.`
}

/** The two URLs, asked for where they are not given and somebody is there. */
async function asked({ from, to }: InitFlags): Promise<{ from: string; to: string }> {
  if (from && to) return { from, to }
  if (!process.stdin.isTTY)
    throw new EngineError('CONFIG_INVALID', `${from ? '--to' : '--from'} is missing`, {
      hint: 'nightfreight init --from postgres://… --to duckdb:warehouse.duckdb',
    })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return {
      from: from ?? (await terminal.question('Copy from (postgres://…, mysql://…, files): ')).trim(),
      to:
        to ??
        (await terminal.question('Copy to (postgres://…, duckdb:warehouse.duckdb, lake:./lake): ')).trim(),
    }
  } finally {
    terminal.close()
  }
}
