import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { CopyRequest } from '../copy/request.ts'
import { shellWord } from '../util/shell.ts'
import { homeFolder, makeHome } from './home.ts'
import { print, printError } from './output.ts'
import { parseEach, parseList } from './parse.ts'
import { printPlan } from './plan.ts'
import { execute } from './run.ts'
import { stoppable } from './signals.ts'
import { printSummary } from './summary.ts'

interface CopyFlags {
  tables?: string[]
  exclude?: string[]
  schema?: string
  key?: string[]
  mode: CopyRequest['mode']
  where?: string
  columns?: string[]
  query?: string
  as?: string
  incremental?: string
  lag?: string
  set?: string[]
  indexes?: boolean
  foreignKeys?: boolean
  dryRun?: boolean
  save?: string
  json?: boolean
}

export function copyCommand(): Command {
  return new Command('copy')
    .description('Copy tables or files into a database or a lake; again later, only what changed')
    .argument('<src>', 'postgres://…, mysql://…, files or a folder of them: on disk, s3://…, sftp://…')
    .argument('<dst>', 'postgres://…, mysql://…, duckdb:FILE, lake:FOLDER')
    .option('--tables <globs>', 'tables to copy: orders, sales.*, … (default: all)', parseList)
    .option('--exclude <globs>', 'tables to leave out', parseList)
    .option('--schema <name>', 'schema of the target that tables go to')
    .option('--key <columns>', 'columns that identify a row, where the source has no primary key', parseList)
    .option('--where <condition>', "only these rows of each table, in the source's SQL")
    .option('--columns <names>', 'only these columns of each table', parseList)
    .option('--query <sql>', "in place of tables: what a query in the source's SQL gives")
    .option('--as <table>', 'with --query: what its table is called in the target')
    .option(
      '--incremental <column>',
      'read only rows where this column has grown since the last copy, and all keys',
    )
    .option(
      '--lag <duration>',
      'with --incremental: so far before it is read again, for rows committed late: 5m',
    )
    .option(
      '--set <key=value>',
      'how files are written, where that is not found: delimiter, encoding, header, null_values, schema, …; repeatable',
      parseEach,
    )
    .addOption(
      new Option(
        '--mode <mode>',
        'replace: the target holds what the source does; merge and append delete nothing',
      )
        .choices(['replace', 'merge', 'append'])
        .default('replace'),
    )
    .option('--indexes', 'give tables that are made the indexes of their sources')
    .option('--foreign-keys', 'give tables that are made the foreign keys of their sources')
    .option('--dry-run', 'show what would change, and load nothing')
    .option('--save <folder>', 'write the job that this copy is, and run nothing')
    .option('--json', 'print events and the result as JSON lines')
    .addHelpText(
      'after',
      `
A copy is a run like any other: verified before it is visible, resumed by the same command, and the next one loads
what changed since. URLs may come from variables: nightfreight copy "$SHOP_URL" "$WAREHOUSE_URL".

The format, delimiter and encoding of files are found, and shown with three rows. What is not found is an error that names
the key to --set; the keys are those of an extract (docs/reference/job.md).

Examples:
  nightfreight copy "$SHOP_URL" duckdb:first.duckdb
  nightfreight copy "$SHOP_URL" duckdb:first.duckdb --tables "invoice*" --schema live --incremental changed_at --lag 5m
  nightfreight copy orders.csv duckdb:warehouse.duckdb --key order_id
  nightfreight copy orders.csv duckdb:warehouse.duckdb --key order_id --dry-run
  nightfreight copy orders.csv lake:./lake --save queries/orders
  nightfreight copy "$SHOP_URL" duckdb:warehouse.duckdb --query "SELECT member_id, upper(first_name) AS name FROM members" --as names --key member_id
  nightfreight copy returns.txt lake:./lake --set null_values=NULL,n/a --set date_format=%d.%m.%Y`,
    )
    .action(async (src: string, dst: string, flags: CopyFlags) => {
      process.exitCode = await copy(src, dst, flags)
    })
}

async function copy(src: string, dst: string, flags: CopyFlags): Promise<number> {
  const { json = false, dryRun = false, save, set, ...asked } = flags
  const { readRequest } = await import('../copy/request.ts')
  const { foundText, viewsText } = await import('./foundText.ts')
  const { readSet } = await import('../copy/set.ts')
  const { copyJob, environmentOf, keepJob, saveJob } = await import('../copy/copy.ts')
  const request = readRequest(src, dst, { ...asked, set: readSet(set ?? []) })
  const home = homeFolder()
  const result = await stoppable(async stopping => {
    const job = await copyJob(request, stopping.signal).catch(error => {
      throw withFlag(error, request)
    })
    if (job.found) print(json ? JSON.stringify({ event: 'found', ...job.found }) : foundText(job.found))
    const { views = [], renamed = [] } = job
    if (renamed.length > 0)
      print(json ? JSON.stringify({ event: 'renamed', tables: renamed }) : renamedText(renamed))
    if (views.length > 0) print(json ? JSON.stringify({ event: 'views', views }) : viewsText(views, 'copied'))
    if (save !== undefined) return saveJob(save, job)
    const env = { ...process.env, ...environmentOf(request) }
    makeHome(home)
    return execute({
      ...stopping,
      folder: keepJob(home, job),
      env,
      home,
      json,
      ...(dryRun && { goal: 'plan' as const }),
    })
  })
  if (!result) {
    print(
      json ? JSON.stringify({ event: 'saved', folder: save }) : await saved(save!, environmentOf(request)),
    )
    return 0
  }
  if (dryRun && result.error === undefined) {
    printPlan(result, 'the same command without --dry-run', json)
    return 0
  }
  printSummary(result, json)
  return result.error === undefined ? 0 : printError(withFlag(result.error, request), json)
}

/** A hint that names a key of job.yaml, or a part of it. */
const OF_A_JOB =
  /job\.yaml|\b(this|the|of) (extract|load)\b|\b(extract|load|guard|quality|timeouts|connection_pools)\\.|\b[a-z]+(_[a-z]+)*: [{[]|\b[a-z]+(_[a-z]+)+: /

/** Says of an error that a key of job.yaml would mend, how a copy is given it. */
function withFlag(error: unknown, { from, query }: CopyRequest): unknown {
  if (!(error instanceof EngineError) || !error.hint || !OF_A_JOB.test(error.hint)) return error
  const isOfFile = (from.files !== undefined || from.folder) && error.hint.includes('this extract')
  const way = isOfFile
    ? 'A copy is given a key of its extract by --set KEY=VALUE.'
    : 'For that, make the copy a job of your own: the same line with --save FOLDER writes its job.yaml.'
  const isOfOne =
    !from.folder && from.files === undefined && query === undefined && /\bin extract\./.test(error.hint)
  const first = isOfOne ? ' It has "*" for all tables: an extract of one begins with from: source.' : ''
  return new EngineError(error.code, error.message, { cause: error, hint: `${error.hint} ${way}${first}` })
}

function renamedText(renamed: { table: string; target: string }[]): string {
  const lines = renamed.map(({ table, target }) => `${table} → ${target}`)
  return `called otherwise in the target, where names differ in more than case and have no dot or quote: ${lines.join(', ')}`
}

/** Log-ins are not shown: such a URL is the one that was typed. */
async function saved(folder: string, env: Record<string, string>): Promise<string> {
  const { secretsIn } = await import('../config/secrets.ts')
  const set = Object.entries(env).map(([name, url]) => {
    const isShown = secretsIn(url).length === 0
    return isShown ? `export ${name}=${shellWord(url)}` : `export ${name}=…  (the URL that you gave)`
  })
  return [`${folder}/job.yaml is written. It runs by:`, ...set, `nightfreight run ${shellWord(folder)}`].join(
    '\n  ',
  )
}
