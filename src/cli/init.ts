import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { SurveyedTable } from '../init/survey.ts'
import { formatCount } from './meter.ts'
import { print } from './output.ts'
import { parseList } from './parse.ts'
import { stoppable } from './signals.ts'
import { aligned } from './table.ts'

interface InitFlags {
  from?: string
  to?: string
  tables: string[]
  exclude: string[]
  schema?: string
}

export function initCommand(): Command {
  return new Command('init')
    .description('Look at a database, and write a job of its tables that runs at once')
    .argument('[folder]', 'where to (default: queries/ and the name of the database)')
    .option('--from <url>', 'postgres://… or mysql://… (asked for on a terminal)')
    .option('--to <url>', 'postgres://…, mysql://…, duckdb:FILE, lake:FOLDER (asked for on a terminal)')
    .option('--tables <globs>', 'tables of the job (default: all)', parseList, [])
    .option('--exclude <globs>', 'tables to leave out', parseList, [])
    .option('--schema <name>', 'schema of the target that tables go to')
    .addHelpText(
      'after',
      `
Writes job.yaml with comments, a model and checks to begin with, connections.yaml, .env (where the URLs are), .env.example,
.gitignore and a workflow for CI. Reads no row; what is there already is not written over.

Example:
  nightfreight init queries/shop --from "$SHOP_URL" --to duckdb:warehouse.duckdb --exclude "tmp_*"`,
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
  if (ends.from.files !== undefined || ends.from.folder)
    throw new EngineError('CONFIG_INVALID', 'files have no catalogue to look at', {
      hint: 'nightfreight copy FILES TARGET --save FOLDER writes their job.',
    })
  const { url } = ends.from
  const tables = await survey(url, { ...flags, tables: [...ends.tables, ...flags.tables] }, signal)
  if (tables.length === 0)
    throw new EngineError('TABLE_MISSING', 'there is no table for the job', {
      hint: 'Give other --tables or --exclude, or grant the user SELECT.',
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
  const { schema } = flags
  const files = writeProject(
    folder,
    { job, ...names, tables, ...(schema && { schema }) },
    { from: url, to: ends.to },
  )
  print(`${found(tables)}\n\nWritten:\n${files.map(file => `  ${file}`).join('\n')}\n
Next:
  nightfreight doctor ${folder}      # what is missing, if anything
  nightfreight test ${folder}        # the model, with the case in tests/
  nightfreight run ${folder}         # tonight's run; the same line tomorrow loads what changed`)
}

/** The tables, a line each. */
function found(tables: SurveyedTable[]): string {
  return aligned([
    ['table', 'rows', 'key'],
    ...tables.map(({ table, rows, key, watermark }) => [
      table,
      rows === undefined ? '?' : `~${formatCount(rows)}`,
      `${key.join(', ') || 'none'}${watermark ? `; changes by ${watermark.column} (${watermark.why})` : ''}`,
    ]),
  ]).join('\n')
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
      from: from ?? (await terminal.question('Copy from (postgres://…, mysql://…): ')).trim(),
      to:
        to ??
        (await terminal.question('Copy to (postgres://…, duckdb:warehouse.duckdb, lake:./lake): ')).trim(),
    }
  } finally {
    terminal.close()
  }
}
