import type { Metadata } from '../metadata/metadata.ts'
import { runDetails } from '../metadata/runDetails.ts'
import type { ReportCheck, ReportData } from '../report/data.ts'

/** How a check, a column or a table did in one run. */
export interface ScoredNight {
  run: string
  startedAt: string
  level: ReportCheck['level']
  /** Share of the judged rows that are as they should be, 0 to 1; of a set check 1 where it passes, 0 where it stops. */
  score: number
  /** What a set check measured. */
  value?: number
}

/** The nights of a check; of all checks of a column, or of a table, where it names none. The latest night is last. */
export interface ScoreHistory {
  table?: string
  column?: string
  check?: string
  nights: ScoredNight[]
}

const LEVELS = ['pass', 'warn', 'reject', 'stop'] as const
const SET_SCORES = { pass: 1, warn: 0.5, reject: 0, stop: 0 }

/** What the last `limit` runs of a job found, by table, column and check; those from `since` on, ISO 8601. */
export async function checkHistory(
  metadata: Metadata,
  job: string,
  { limit, since }: { limit: number; since?: string },
): Promise<ScoreHistory[]> {
  const runs = (await metadata.history({ job, limit, since })).filter(({ status }) => status !== 'PLANNED')
  const found = new Map<string, ScoreHistory>()
  const note = (of: Omit<ScoreHistory, 'nights'>, night: ScoredNight) => {
    const key = JSON.stringify([of.table, of.column, of.check])
    const known = found.get(key) ?? { ...of, nights: [] }
    found.set(key, known)
    const last = known.nights.at(-1)
    if (last?.run !== night.run) known.nights.push(night)
    else Object.assign(last, { score: Math.min(night.score, last.score), level: worst(night, last) })
  }
  for (const { run, started_at: startedAt } of runs.toReversed()) {
    const { report } = await runDetails<ReportData>(metadata.database, run)
    for (const { name, rows, rejected, warned } of report?.models ?? [])
      if (rows > 0)
        note(
          { table: name },
          {
            run,
            startedAt,
            score: 1 - (rejected + warned) / rows,
            level: rejected > 0 ? 'reject' : warned > 0 ? 'warn' : 'pass',
          },
        )
    for (const { name: check, model, column, rows, of, level, value } of report?.checks ?? []) {
      const score = of === undefined ? SET_SCORES[level] : of > 0 ? 1 - rows / of : 1
      const night = { run, startedAt, level, score, ...(value !== undefined && { value }) }
      const table = model ?? column?.table
      const place = { ...(table !== undefined && { table }), ...(column && { column: column.column }) }
      note({ ...place, check }, night)
      if (column) note(place, { run, startedAt, level, score })
    }
  }
  return [...found.values()].sort((a, b) => order(a).localeCompare(order(b)))
}

const order = ({ table, column, check }: ScoreHistory) =>
  [table, column, check].map(each => each ?? '').join('\0')

const worst = (a: ScoredNight, b: ScoredNight) =>
  LEVELS.indexOf(a.level) > LEVELS.indexOf(b.level) ? a.level : b.level
