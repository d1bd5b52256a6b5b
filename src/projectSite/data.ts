import type { Metadata } from '../metadata/metadata.ts'
import { runDetails } from '../metadata/runDetails.ts'
import type { HistoryRecord } from '../metadata/syncHistory.ts'
import { freshness } from '../metadata/tableHistory.ts'
import type { ReportCheck, ReportData } from '../report/data.ts'
import type { ProjectLineage } from '../workbench/lineage.ts'

/** Nights whose checks are shown. */
const NIGHTS = 30

/** How a check went, the latest night last. */
export interface CheckNight {
  startedAt: string
  level: ReportCheck['level']
  rows: number
}

/** What is known of a job's nights. */
export interface JobNights {
  /** Newest first; with all rows that were read and rejected, of extracts and models that are not loaded, too. */
  runs: (HistoryRecord & { read?: number; rejected?: number })[]
  /** By the table that a check judges and its name. */
  checks: Map<string, CheckNight[]>
  /** Share of rows with a finding, by model, the latest night last. */
  findings: Map<string, number[]>
  /** When each loaded table was loaded last, ISO 8601. */
  loadedAt: Map<string, string>
}

/** What a project's pages are made of. */
export interface SiteData {
  lineage: ProjectLineage
  nights: Map<string, JobNights>
  /** Whose runs these are; absent of production. */
  environment?: string
  madeAt: Date
}

export const checkKey = (model: string | undefined, name: string): string => `${model ?? ''}\0${name}`

/** What the metadata store knows of the project's jobs; nothing of any without one. */
export async function readNights(
  { jobs }: ProjectLineage,
  metadata: Metadata | undefined,
): Promise<Map<string, JobNights>> {
  const found = new Map<string, JobNights>()
  for (const { job } of jobs) {
    const own: JobNights = { runs: [], checks: new Map(), findings: new Map(), loadedAt: new Map() }
    found.set(job, own)
    if (!metadata) continue
    own.runs = (await metadata.history({ job, limit: NIGHTS })).filter(({ status }) => status !== 'PLANNED')
    for (const { table, loadedAt } of await freshness(metadata.database, job))
      own.loadedAt.set(table, loadedAt)
    for (const night of own.runs.toReversed()) {
      const { run, started_at: startedAt } = night
      const { report } = await runDetails<ReportData>(metadata.database, run)
      if (report) {
        night.read = report.extracts.reduce((sum, { rows }) => sum + rows, 0)
        night.rejected = report.models.reduce((sum, { rejected }) => sum + rejected, 0)
      }
      for (const { model, name, level, rows } of report?.checks ?? [])
        add(own.checks, checkKey(model, name), { startedAt, level, rows })
      for (const { name, rows, rejected, warned } of report?.models ?? [])
        add(own.findings, name, rows > 0 ? (rejected + warned) / rows : 0)
    }
  }
  return found
}

/** Adds a value to those of a key. */
export function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
