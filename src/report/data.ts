/** Everything the data-quality report shows. Rates and shares are 0 to 1. */
export interface ReportData {
  job: string
  run: string
  status: 'SUCCESS' | 'COMPLETED_WITH_ERRORS' | 'FAILED'
  startedAt: Date
  finishedAt: Date
  extracts: { name: string; from: string; rows: number; parts: number; since?: string; note?: string }[]
  models: { name: string; rows: number; rejected: number; warned: number }[]
  checks: {
    name: string
    model?: string
    level: 'pass' | 'warn' | 'reject' | 'stop'
    rows: number
    samples: { reason: string; record: string }[]
  }[]
  loads: {
    table: string
    to: string
    staged: number
    inserted: number
    updated: number
    unchanged: number
    duplicates: number
  }[]
  errorRate: number
  maxErrorRate: number
  qualityScore: number
  minQualityScore?: number
  profile: {
    model: string
    columns: {
      name: string
      type: string
      nullShare: number
      distinct: number
      min: string | null
      max: string | null
    }[]
  }[]
  tasks: { name: string; startMs: number; endMs: number }[]
  error?: { code: string; message: string; hint?: string }
}
