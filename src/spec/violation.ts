/** The words in which violations are kept. */
export type ViolationType =
  | 'DURATION_EXCEEDED'
  | 'DATA_FRESHNESS'
  | 'ERROR_RATE_EXCEEDED'
  | 'QUALITY_BELOW_THRESHOLD'

export type Severity = 'HIGH' | 'MEDIUM'

/** An SLA target that was not kept. Durations and ages are hours, the rest shares from 0 to 1. */
export interface Violation {
  type: ViolationType
  severity: Severity
  expected: number
  actual: number
}
