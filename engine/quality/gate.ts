import { EngineError } from '../errors.ts'
import type { CheckResult } from './rowChecks.ts'

/** Rows examined, and how many of them were found wanting. */
export interface Tally {
  rows: number
  rejected: number
  /** Rows with a finding of any severity. */
  marked: number
}

export interface QualitySummary {
  errorRate: number
  /** Share of rows without any finding, 0 to 1. */
  score: number
}

export function summary(tallies: Tally[]): QualitySummary {
  const sum = (of: (tally: Tally) => number) => tallies.reduce((total, tally) => total + of(tally), 0)
  const rows = sum(tally => tally.rows)
  if (rows === 0) return { errorRate: 0, score: 1 }
  return { errorRate: sum(tally => tally.rejected) / rows, score: 1 - sum(tally => tally.marked) / rows }
}

/** Stops the run before anything is loaded when too many rows are bad, or a set check says stop. */
export function gate(quality: QualitySummary, maxErrorRate: number, checks: CheckResult[]): void {
  const stopped = checks.find(check => check.level === 'stop')
  if (stopped)
    throw new EngineError('CHECK_STOPPED', `check ${stopped.name}: ${stopped.samples[0]!.reason}`, {
      hint: 'Nothing was loaded. Mend the data or the check, then run again.',
    })
  if (quality.errorRate <= maxErrorRate) return
  const worst = checks.filter(check => check.level === 'reject').toSorted((a, b) => b.rows - a.rows)
  const named = worst.slice(0, 3).map(check => `${check.name} ${check.rows}`)
  throw new EngineError(
    'QUALITY_GATE',
    `error rate ${percent(quality.errorRate)} is over the limit of ${percent(maxErrorRate)}: ${named.join(', ')}`,
    {
      hint: 'Nothing was loaded. The report shows the rejected rows; quality.max_error_rate sets the limit.',
    },
  )
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`
