import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { quote, quoteName } from '../../engine/sql/duckdb.ts'
import { stripped } from '../../engine/sql/text.ts'
import { variablesSql } from '../../engine/sql/variables.ts'
import { typeName } from '../../engine/types/logical.ts'
import { openOutline, outlineTables } from '../runs/knownColumns.ts'
import { openStagedJob, type StagedJob } from './staged.ts'
import { graphOfOutline } from './testJob.ts'

/**
 * A job as a script for DuckDB's own shell: variables, macros, extracts as views of what the last run staged (or, before any,
 * empty tables), models and checks as views.
 */
export async function exportSql(folder: string, home: string, runAt: Date): Promise<string> {
  const outline = await openOutline(folder, home)
  const lines = [
    `-- ${outline.job}: models and checks for DuckDB's shell, as of ${runAt.toISOString()}.`,
    '-- duckdb -init night.sql, or .read night.sql',
    "SET TimeZone = 'UTC';",
    ...variablesSql(outline.vars, runAt).map(statement => `${statement};`),
    '',
  ]
  const isStaged = existsSync(join(home, 'staging', outline.job))
  await using stack = new AsyncDisposableStack()
  const job = isStaged ? await openStagedJob(folder, home, runAt, stack) : undefined
  const graph = job?.graph ?? (await graphOfOutline(outline))
  const tables = outlineTables(outline, home)
  const there = new Set<string>()
  const waiting = [...graph.macros]
  const made = (name?: string) => {
    if (name !== undefined) there.add(name)
    for (const macro of [...waiting])
      if (macro.reads.every(table => there.has(table))) {
        lines.push(`${macro.sql.replace(/^CREATE\s+(OR\s+REPLACE\s+)?/i, 'CREATE OR REPLACE ').trim()};`, '')
        waiting.splice(waiting.indexOf(macro), 1)
      }
  }
  made()
  for (const { name } of outline.extracts) {
    const view = job && (await viewOf(job, name))
    const columns = tables.get(name)?.columns
    if (view) lines.push(`CREATE OR REPLACE VIEW ${quoteName(name)} AS ${view};`, '')
    else if (columns) {
      const list = columns.map(column => `  ${quoteName(column.name)} ${typeName(column.type)}`)
      lines.push(`CREATE OR REPLACE TABLE ${quoteName(name)} (\n${list.join(',\n')}\n);`, '')
    } else {
      lines.push(`-- ${name}: its columns are not known before the first run; make a table of that name.`, '')
      continue
    }
    made(name)
  }
  for (const { name, file, sql, extract, enrich, reads } of graph.models) {
    if (extract) continue
    const missing = reads.filter(table => !there.has(table))
    if (missing.length > 0) {
      lines.push(`-- ${file} is left out: ${missing.join(', ')} is not there.`, '')
      continue
    }
    lines.push(`-- ${file}`)
    const gives = (enrich?.gives ?? []).map(column => `NULL::${column.native} AS ${quoteName(column.name)}`)
    const query = enrich ? `SELECT *, ${gives.join(', ')} FROM (${stripped(sql)})` : stripped(sql)
    if (enrich) lines.push('-- What an enrichment makes of values is not SQL: NULL here.')
    lines.push(`CREATE OR REPLACE VIEW ${quoteName(name)} AS\n${query};`, '')
    made(name)
  }
  for (const { file, sql, reads } of graph.checks) {
    if (reads.some(table => !there.has(table))) continue
    lines.push(
      `-- ${file}: rows that it finds`,
      `CREATE OR REPLACE VIEW ${quoteName(file.replace(/\.sql$/i, ''))} AS\n${stripped(sql)};`,
      '',
    )
  }
  return lines.join('\n')
}

/** The SQL of an extract's view; undefined where the last run did not read it. */
async function viewOf({ context }: StagedJob, name: string): Promise<string | undefined> {
  const [row] = await context.duck.rows(
    `SELECT sql FROM duckdb_views() WHERE view_name = ${quote(name)} AND NOT internal`,
  )
  return (
    row &&
    String(row.sql)
      .replace(/^CREATE VIEW .*? AS /s, '')
      .replace(/;\s*$/, '')
  )
}
