import type { S3Access } from '../stores/s3/sdk.ts'

/** Where a job's reports go beside the home folder. */
export interface ReportSpec {
  files: ReportFile[]
  /** Names of channels of the kind e-mail. */
  mail: string[]
  /** Strings of the settings that no output may show. */
  secrets: string[]
}

/** A copy of the report: a page where `path` ends with `.html`, JSON where with `.json`. */
export interface ReportFile {
  /** Absent: a file of this machine. */
  bucket?: S3Access
  /** In the bucket, or absolute; `{job}`, `{run}` and `{date}` stand in it for those of the run. */
  path: string
}
