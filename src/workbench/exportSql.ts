import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { rowCheckColumns } from '../../engine/sql/checkColumns.ts'
import { type Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import { inFile } from '../../engine/sql/locate.ts'
import { MacroSession } from '../../engine/sql/macroSession.ts'
import type { OrderedCheck } from '../../engine/sql/model.ts'
import { stripped } from '../../engine/sql/text.ts'
import { setVariables, variablesSql } from '../../engine/sql/variables.ts'
import { REJECTS } from '../../engine/sql/words.ts'
import { typeName } from '../../engine/types/logical.ts'
import { openOutline, outlineTables } from '../runs/knownColumns.ts'
import { scratchContext } from './scratch.ts'
import { loadKeys, openStagedJob } from './staged.ts'
import { described } from './tableDiff.ts'
import { graphOfOutline } from './testJob.ts'

/**
 * A job as a script for DuckDB's own shell: variables, macros, extracts as views of what the last run staged (or, before any,
 * empty tables), models and checks as views. A table that checks judge is there without the rows that they reject, and
 * whole under another name ({@link wholeName}). Each statement is tried in a session of its own.
 */
export async function exportSql(folder: string, home: string, runAt: Date): Promise<string> {
  const outline = await openOutline(folder, home)
  const isStaged = existsSync(join(home, 'staging', outline.job))
  const lines = [
    `-- ${outline.job}: models and checks for DuckDB's shell, as of ${runAt.toISOString()}.`,
    '-- duckdb -init night.sql, or .read night.sql',
    ...(isStaged
      ? []
      : ['-- Nothing is staged on this machine: tables are empty. nightfreight plan reads the sources.']),
    `-- Rows that checks reject are left out, as in a run: ${quoteName(wholeName('a model'))} has them, too.`,
    "SET TimeZone = 'UTC';",
    ...variablesSql(outline.vars, runAt).map(statement => `${statement};`),
    '',
  ]
  await using stack = new AsyncDisposableStack()
  const job = isStaged ? await openStagedJob(folder, home, runAt, stack) : undefined
  const graph = job?.graph ?? (await graphOfOutline(outline))
  const { duck } = job?.context ?? (await scratchContext(outline, runAt, stack))
  if (!job) await setVariables(duck, graph.vars, runAt)
  const tables = outlineTables(outline, home)
  const there = new Set<string>()
  const run = async (sql: string) => {
    lines.push(`${sql};`, '')
    await duck.run(sql)
  }
  const macros = new MacroSession(duck, graph.macros, async macro => {
    const sql = macro.sql.replace(/^CREATE\s+(OR\s+REPLACE\s+)?/i, 'CREATE OR REPLACE ').trim()
    await inFile(macro, () => run(sql))
  })
  const made = async (name: string) => {
    there.add(name)
    await macros.made([name])
  }
  /** Makes a table by `make`, which is given a name, and leaves out the rows that its checks reject. */
  const judge = async (name: string, make: (name: string) => Promise<void>) => {
    const keys = loadKeys(outline.loads, name)
    const checks = graph.checks.filter(({ file, model, reads }) => {
      const missing = model === name && reads.find(table => table !== name && !there.has(table))
      if (missing) lines.push(`-- ${file} rejects no row here: ${missing} is not there.`, '')
      return model === name && missing === undefined
    })
    if (checks.length + keys.length === 0) return make(name)
    const [table, whole] = [quoteName(name), quoteName(wholeName(name))]
    await make(wholeName(name))
    const columns = (await described(duck, `FROM ${whole}`)).map(column => column.name)
    const conditions = keys.map(key => `${quoteName(key)} IS NOT NULL`)
    for (const check of checks) {
      const found = `SELECT * FROM (\n${stripped(check.sql)}\n)`
      lines.push(`-- ${check.file}: rows that it finds`)
      await inFile(check, async () => {
        await run(viewSql(viewOf(check), `WITH ${table} AS (FROM ${whole})\n${found}`))
        const { match, severity } = rowCheckColumns(
          check,
          await described(duck, `FROM ${quoteName(viewOf(check))}`),
          columns,
        )
        const same = match.map(
          column => `${table}.${quoteName(column)} IS NOT DISTINCT FROM found.${quoteName(column)}`,
        )
        const rejects = severity ? [`found.${REJECTS}`] : []
        conditions.push(
          `NOT EXISTS (SELECT 1 FROM (\n${stripped(check.sql)}\n) AS found WHERE ${[...same, ...rejects].join(' AND ')})`,
        )
      })
    }
    const good = `SELECT * FROM ${table} WHERE ${conditions.join('\n  AND ')}`
    // Materialised: what gives another answer each time is judged as it is shown.
    await run(viewSql(name, `WITH ${table} AS MATERIALIZED (FROM ${whole})\n${good}`))
  }
  /** How an extract's rows are made under a name; undefined where its columns are not known. */
  const makeExtract = async (extract: string) => {
    const view = job && (await viewText(duck, extract))
    const columns = tables.get(extract)?.columns
    if (view) return (name: string) => run(viewSql(name, view))
    const list = columns?.map(column => `  ${quoteName(column.name)} ${typeName(column.type)}`)
    return (
      list && ((name: string) => run(`CREATE OR REPLACE TABLE ${quoteName(name)} (\n${list.join(',\n')}\n)`))
    )
  }
  await macros.made([])
  for (const { name } of outline.extracts) {
    if (graph.models.some(model => model.extract && model.name === name)) continue
    const make = await makeExtract(name)
    if (make) await make(name)
    else lines.push(unknown(name), '')
    if (make) await made(name)
  }
  for (const { name, file, sql, extract, enrich, reads } of graph.models) {
    const missing = reads.filter(table => table !== name && !there.has(table))
    if (missing.length > 0) {
      lines.push(`-- ${file} is left out: ${missing.join(', ')} is not there.`, '')
      continue
    }
    if (extract) {
      const make = await makeExtract(name)
      if (make) await judge(name, make)
      else lines.push(unknown(name), '')
      if (!make) continue
    } else {
      lines.push(`-- ${file}`)
      if (enrich) {
        const what = enrich.own?.file ?? 'an enrichment'
        lines.push(`-- What ${what} makes of values is not SQL: NULL here, and not judged.`)
        const gives = enrich.gives.map(column => `NULL::${column.native} AS ${quoteName(column.name)}`)
        await run(viewSql(name, `SELECT *, ${gives.join(', ')} FROM (${stripped(sql)}\n)`))
      } else await judge(name, target => run(viewSql(target, stripped(sql))))
    }
    await made(name)
  }
  for (const check of graph.checks) {
    if (check.model !== undefined || check.reads.some(table => !there.has(table))) continue
    lines.push(`-- ${check.file}: what it says`)
    await run(viewSql(viewOf(check), stripped(check.sql)))
  }
  return lines.join('\n')
}

/** The name of a table's rows before any is left out. */
const wholeName = (table: string) => `${table} before its checks`

const viewOf = ({ file }: Pick<OrderedCheck, 'file'>) => file.replace(/\.sql$/i, '')

const viewSql = (name: string, query: string) => `CREATE OR REPLACE VIEW ${quoteName(name)} AS\n${query}`

const unknown = (extract: string) =>
  `-- ${extract}: its columns are not known before the first run; make a table of that name.`

/** The query of a view; undefined where there is none. */
async function viewText(duck: Duck, name: string): Promise<string | undefined> {
  const [row] = await duck.rows(
    `SELECT sql FROM duckdb_views() WHERE view_name = ${quote(name)} AND NOT internal`,
  )
  return (
    row &&
    String(row.sql)
      .replace(/^CREATE VIEW .*? AS /s, '')
      .replace(/;\s*$/, '')
  )
}
