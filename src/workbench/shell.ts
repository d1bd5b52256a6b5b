import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { inFile } from '../../engine/sql/locate.ts'
import { statementsOf } from '../../engine/sql/text.ts'
import { filesSql } from '../../engine/staging/read.ts'
import { openMask } from '../runs/mask.ts'
import { openModels, openStagedJob, type RowsFound, type StagedJob, stagedRuns } from './staged.ts'

/** What a statement gave: rows as texts. */
export interface Answer {
  columns: { name: string; type: string }[]
  rows: (string | null)[][]
}

export interface Shell {
  /** Tables that are there, and models that are not, with the reason. */
  tables: string[]
  left: { name: string; reason: string }[]
  /** What checks found, by the table whose rows they judge. */
  found: ReadonlyMap<string, RowsFound>
  /** Runs the statements of a text, one after another. */
  run(text: string): AsyncGenerator<Answer>
}

/** Rows that are handed over of a statement. */
const MOST_ROWS = 1000

/**
 * A job's session: macros, variables, extracts as last staged, models as their files say now, and `quarantine` of the last run.
 * SQL can change nothing outside of it. Fails with CONFIG_INVALID where columns are sensitive and `reveal` is not set: SQL
 * would show them under any name.
 */
export async function openShell(
  options: {
    folder: string
    home: string
    env: Record<string, string | undefined>
    runAt: Date
    reveal: boolean
  },
  stack: AsyncDisposableStack,
): Promise<Shell> {
  const job = await openStagedJob(options.folder, options.home, options.runAt, stack)
  const { outline, context } = job
  const mask = openMask(options.home, options.env, outline)
  const sensitive = [
    ...new Set([...outline.extracts, ...outline.loads].flatMap(({ sensitive = [] }) => sensitive)),
  ]
  if (sensitive.length > 0 && !options.reveal)
    throw new EngineError(
      'CONFIG_INVALID',
      `${outline.job} has sensitive columns (${sensitive.join(', ')}), which SQL would show`,
      {
        hint: 'nightfreight show masks them; --reveal opens the shell all the same.',
      },
    )
  const left = await openModels(job)
  await openQuarantine(job)
  await context.duck.lock()
  const found = await context.duck.rows(
    "SELECT table_name AS name FROM duckdb_tables() WHERE schema_name = 'main' UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1",
  )
  return {
    tables: found.map(({ name }) => String(name)),
    left,
    found: job.found,
    run: async function* (text) {
      for (const { text: sql } of statementsOf(text))
        yield await inFile({ file: 'shell', sql }, () => context.duck.answer(sql, MOST_ROWS)).catch(error => {
          throw mask.error(error)
        })
    },
  }
}

/** Makes what the last run's checks found a view. */
async function openQuarantine({ context }: StagedJob): Promise<void> {
  const { duck, root, spec } = context
  const [run] = stagedRuns(root, spec.job)
  const folder = join(spec.job, run ?? '', 'quarantine')
  const files = existsSync(join(root, folder))
    ? readdirSync(join(root, folder)).filter(name => name.endsWith('.parquet'))
    : []
  const rows =
    files.length > 0
      ? `FROM ${filesSql(
          root,
          files.map(file => ({ file: `${folder}/${file}` })),
          { byName: true },
        )}`
      : "SELECT NULL::BIGINT AS row, '' AS model, '' AS check_name, '' AS severity, '' AS category, '' AS reason, '' AS record, '' AS run LIMIT 0"
  await duck.run(`CREATE OR REPLACE VIEW quarantine AS ${rows}`)
}
