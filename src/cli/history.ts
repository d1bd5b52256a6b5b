import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import type { HistoryRecord } from '../metadata/syncHistory.ts'
import { type ViolationRecord, violationsOf } from '../metadata/violations.ts'
import { checkHistory, type ScoreHistory } from '../runs/checkHistory.ts'
import { environmentName } from './environment.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob, parseTime } from './parse.ts'
import { codeOf, lasted, noRuns, stateOf } from './runState.ts'
import { inColumns } from './table.ts'
import { violationsText, withViolations } from './violations.ts'

interface HistoryFlags {
  limit: number
  since?: Date
  checks?: boolean
  json?: boolean
}

export function historyCommand(): Command {
  return new Command('history')
    .description('Show runs over time: when, how long, how many records, and how they ended')
    .argument('[job]', "only this job's runs: its folder, or its name")
    .option('--limit <n>', 'how many runs', parseCount, 50)
    .option('--since <time>', 'runs that began at this time or later, ISO 8601', parseTime)
    .option('--checks', 'how tables, columns and checks of the job did, run by run')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight history\n  nightfreight history --env dev\n  nightfreight history member_data_warehouse_sync --since 2026-02-01 --json\n  nightfreight history queries/members --checks',
    )
    .action(async (named: string | undefined, { limit, since, checks, json }: HistoryFlags) => {
      const job = named === undefined ? undefined : parseJob(named)
      if (checks && job === undefined)
        throw new EngineError('CONFIG_INVALID', '--checks shows the checks of one job: name it', {
          hint: 'nightfreight history JOB --checks',
        })
      const metadata = await openMetadata(homeFolder())
      const wanted = { limit, since: since?.toISOString() }
      if (checks) {
        const readScores = async () => {
          const scores = await checkHistory(metadata, job!, wanted)
          const runs = scores.length > 0 || (await metadata.history({ job, ...wanted, limit: 1 })).length > 0
          return {
            scores,
            none: runs ? `No run of ${job} has checked anything.` : await noRuns(metadata, named),
          }
        }
        const { scores, none } = await readScores().finally(() => metadata.close())
        print(json ? JSON.stringify({ job, scores }) : scores.length === 0 ? none : scoresText(scores))
        return
      }
      const read = async () => {
        const runs = await metadata.history({ job, ...wanted })
        const names = runs.map(({ run }) => run)
        const none = runs.length === 0 ? await noRuns(metadata, named) : ''
        return { runs, none, violations: await violationsOf(metadata.database, names) }
      }
      const { runs, none, violations } = await read().finally(() => metadata.close())
      const environment = environmentName()
      const shown = runs.map(run => ({ ...run, state: stateOf(run) }))
      if (json)
        print(
          JSON.stringify({
            ...(environment !== undefined && { environment }),
            runs: withViolations(shown, violations),
          }),
        )
      else if (runs.length === 0) print(none)
      else print(historyText(runs, violations))
    })
}

/** Nights that are shown of a check. */
const SHOWN = 10

function scoresText(scores: ScoreHistory[]): string {
  const rows = scores.map(({ table, column, check, nights }) => [
    table ?? '',
    column ?? '',
    check ?? '',
    nights.at(-1)!.level,
    nights
      .slice(-SHOWN)
      .map(({ score, value }) =>
        value === undefined ? percent(score) : String(Math.round(value * 1e4) / 1e4),
      )
      .join('  '),
  ])
  return inColumns([
    ['table', 'column', 'check', 'last', 'score, or what was measured; the last run at the end'],
    ...rows,
  ]).join('\n')
}

// Rounded down: what is not all must not read as all.
const percent = (share: number) => `${Math.floor(share * 10_000 + 1e-6) / 100} %`

function historyText(runs: HistoryRecord[], violations: Map<string, ViolationRecord[]>): string {
  const rows = runs.map(run => [
    run.started_at.slice(0, 19).replace('T', ' '),
    run.job,
    run.run,
    stateOf(run),
    codeOf(run) ?? '',
    lasted(run) ?? '',
    run.records_processed === null ? '' : counted(run.records_processed, 'record'),
    violationsText(violations.get(run.run)).trim(),
    run.retried === 0 ? '' : `${counted(run.retried, 'task')} begun again`,
    run.errors === 0
      ? ''
      : `${counted(run.errors, 'rejected row')} that ${run.errors === 1 ? 'was' : 'were'} new`,
  ])
  return inColumns(rows).join('\n')
}
