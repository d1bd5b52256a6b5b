/** What Apache Airflow is to know of a job beside its schedule. */
export interface AirflowSpec {
  owner: string
  tags: string[]
  /** Whom Airflow tells of a run that failed, or is late. */
  email: string[]
  /** Of each step, by Airflow; within a step, tasks are tried again as `retries` says. */
  retries: number
  /** Milliseconds. */
  retryDelay: number
}
