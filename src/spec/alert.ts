/** When an alert is raised. */
export const KINDS = ['failure', 'recovery', 'sla', 'retry', 'errors', 'success'] as const

/**
 * What somebody is to know. Plain data, without secrets: it goes to channels as JSON. Texts are for a person who was
 * asleep a minute ago.
 */
export interface Alert {
  kind: (typeof KINDS)[number] | 'test'
  severity: 'CRITICAL' | 'HIGH' | 'MEDIUM' | 'INFO'
  job: string
  run?: string
  host: string
  /** ISO 8601 UTC. */
  at: string
  /** Tells apart what may be wrong with a job: alerts of one cause are counted, not sent again and again. */
  cause: string
  /** One line: `members: failed, CONNECTION_LOST`. */
  title: string
  /** What happened. */
  what: string
  /** Which rows, one line each. */
  rows: string[]
  /** Whether each target is as it was, one line each. */
  targets: string[]
  /** The one command to type. */
  command?: string
  /** Variables that the command needs, set as for the run. */
  needs?: string[]
  /** Path of the run's report, on `host`. */
  report?: string
  /** Where the run, or the job, is shown live. */
  page?: string
  /** How often since the cause was last gone, and since when. */
  times: number
  since: string
}

/** What tells an alert from others. Good news are not counted. */
export const keyOf = ({ job, kind, cause }: Alert): string => `${job}/${kind}/${cause}`

/** Whether an alert that was sent a moment ago is not sent again. */
export const isCounted = ({ kind }: Alert): boolean => !['recovery', 'success', 'test'].includes(kind)

/** Whether a failure is one of a run; of its schedule (a start that was missed, intervals that wait) it is not. */
export const isOfRun = ({ kind, severity }: Pick<Alert, 'kind' | 'severity'>): boolean =>
  kind === 'failure' && severity === 'CRITICAL'
