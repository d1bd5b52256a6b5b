import { EngineError } from '../errors.ts'
import { counted } from '../plural.ts'
import { REJECT } from '../sql/words.ts'
import type { CheckResult } from './rowChecks.ts'

/** Rows of one table that this run judged, and how many of them were found wanting; each row counts once. */
export interface Tally {
  name: string
  rows: number
  rejected: number
  /** Rows with a finding of any severity. */
  marked: number
}

/** How good the run's tables are: the figures of the worst, since no table makes up for another. */
export interface QualitySummary {
  /** Rejected rows of a table over the rows of it that were judged. */
  errorRate: number
  /** Of which table the error rate is. */
  worst?: Tally
  /** Share of a table's rows without any finding, 0 to 1. */
  score: number
  /** Of which table the score is. */
  lowest?: string
}

export function summary(tallies: Tally[]): QualitySummary {
  const judged = tallies.filter(({ rows }) => rows > 0)
  const [worst] = judged.toSorted((a, b) => errorRate(b) - errorRate(a) || b.rejected - a.rejected)
  if (!worst) return { errorRate: 0, score: 1 }
  const [lowest] = judged.toSorted((a, b) => unmarked(a) - unmarked(b))
  return { errorRate: errorRate(worst), worst, score: unmarked(lowest!), lowest: lowest!.name }
}

const errorRate = ({ rows, rejected }: Tally) => rejected / rows
const unmarked = ({ rows, marked }: Tally) => 1 - marked / rows

/** Stops the run before anything is loaded when too many rows of a table are bad, or a set check says stop. */
export function gate(quality: QualitySummary, maxErrorRate: number, checks: CheckResult[]): void {
  const stopped = checks.find(check => check.level === 'stop')
  if (stopped)
    throw new EngineError('CHECK_STOPPED', `check ${stopped.name}: ${stopped.samples[0]!.reason}`, {
      hint: 'Nothing was loaded. Mend the data or the check, then run again.',
    })
  if (quality.errorRate <= maxErrorRate) return
  const { name, rows, rejected } = quality.worst!
  const failed = checks.filter(check => check.level === REJECT && check.model === name)
  const named = failed
    .toSorted((a, b) => b.rows - a.rows)
    .slice(0, 3)
    .map(check => `${check.name} ${check.rows}`)
  throw new EngineError(
    'QUALITY_GATE',
    `error rate ${percent(quality.errorRate)} of ${name} (${rejected} of ${counted(rows, 'row')}) is over the limit of ${percent(maxErrorRate)}: ${named.join(', ')}`,
    {
      hint: 'Nothing was loaded. The report shows the rejected rows; quality.max_error_rate sets the limit.',
    },
  )
}

// Rounded up: what is over a limit must not read as equal to it.
const percent = (share: number) => `${(Math.ceil(share * 10_000 - 1e-9) / 100).toFixed(2)} %`
