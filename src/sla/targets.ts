import type { Sla } from '../spec/job.ts'
import type { Severity, Violation, ViolationType } from '../spec/violation.ts'

/** What a run is measured by, as far as it has got. */
export interface Measures {
  /** Milliseconds since the run began. */
  duration: number
  /** Milliseconds from the newest row of the stalest extract to the run's own time; undefined: nothing tells it. */
  dataLag?: number
  /** 0 to 1. */
  errorRate: number
  /** 0 to 1. */
  qualityScore: number
  /** The extract or table that each of these is of. */
  of?: { dataLag?: string; errorRate?: string; qualityScore?: string }
}

/** One SLA target and what became of it. */
export interface SlaResult extends Violation {
  name: string
  kept: boolean
  /** What is measured, for people: its name, and the table that it is of. */
  about: string
}

const HOUR = 3600_000

/** Each SLA target that can be judged by now, kept or not. */
export function judge(sla: Sla, measures: Measures): SlaResult[] {
  const targets: SlaResult[] = []
  const { of = {} } = measures
  const add = (
    name: string,
    type: ViolationType,
    severity: Severity,
    expected: number,
    actual: number,
    table?: string,
  ) => {
    const about = table === undefined ? name : `${name} of ${table}`
    const kept = type === 'QUALITY_BELOW_THRESHOLD' ? actual >= expected : actual <= expected
    targets.push({ name, type, severity, expected, actual, kept, about })
  }
  const { maxDuration, maxDataLag, maxErrorRate, minQualityScore } = sla
  if (maxDuration !== undefined)
    add('Run time', 'DURATION_EXCEEDED', 'HIGH', maxDuration / HOUR, measures.duration / HOUR)
  if (maxDataLag !== undefined && measures.dataLag !== undefined)
    add('Age of the data', 'DATA_FRESHNESS', 'MEDIUM', maxDataLag / HOUR, measures.dataLag / HOUR, of.dataLag)
  if (maxErrorRate !== undefined)
    add('Error rate', 'ERROR_RATE_EXCEEDED', 'HIGH', maxErrorRate, measures.errorRate, of.errorRate)
  if (minQualityScore !== undefined)
    add(
      'Quality score',
      'QUALITY_BELOW_THRESHOLD',
      'MEDIUM',
      minQualityScore,
      measures.qualityScore,
      of.qualityScore,
    )
  return targets
}

/**
 * Milliseconds from the newest row of the stalest extract to the run's time, and which that is; undefined where no watermark
 * is a time. Watermarks are DuckDB's texts; a wall-clock reading counts as UTC.
 */
export function dataLag(
  extracted: readonly { extract: string; watermark: string | null }[],
  runAt: Date,
): { extract: string; millis: number } | undefined {
  const times = extracted.flatMap(({ extract, watermark }) => {
    const match = /^(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d(?::\d\d)?)?)?$/.exec(
      watermark ?? '',
    )
    if (!match) return []
    const [, date, time = '00:00:00', zone = '+00'] = match
    return [
      { extract, at: Date.parse(`${date}T${time.slice(0, 12)}${zone.length === 3 ? `${zone}:00` : zone}`) },
    ]
  })
  const [stalest] = times.toSorted((a, b) => a.at - b.at)
  return stalest && { extract: stalest.extract, millis: Math.max(0, runAt.getTime() - stalest.at) }
}

/** `6 h`, `98.5 %`: the figure of an SLA target for people. */
export function figure(type: ViolationType, value: number): string {
  if (type === 'DURATION_EXCEEDED' || type === 'DATA_FRESHNESS') return hours(value)
  return `${Number((value * 100).toFixed(2))} %`
}

/** `1 d 2 h`, `4 min 5 s`, `0.3 s`: the two largest units. */
export function hours(value: number): string {
  const seconds = value * 3600
  if (seconds < 10) return `${Number(seconds.toFixed(2))} s`
  let left = Math.round(seconds)
  const parts: string[] = []
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) parts.push(`${count} ${unit}`)
  }
  return parts.slice(0, 2).join(' ')
}
