import { isOfKind, subjectOf } from '../../engine/contracts/taskName.ts'
import { EngineError } from '../../engine/errors.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { stepsOf } from '../runs/runStep.ts'
import type { JobSpec } from '../spec/job.ts'
import { type Operator, operatorText } from './operator.ts'

/** Nothing is planned before, where the job's schedule does not say. */
const START = new Date('2024-01-01T00:00:00Z')

/**
 * The text of a DAG file for Apache Airflow 3 that runs a job's steps: `check → plan → extract (mapped, one a connection) →
 * prepare → bucket (mapped, where a model is made in buckets) → models → load (mapped, one a target) → finish`. The same job gives the same text. `folder`: where workers, or their containers, find the job.
 * What globs stand for is listed when a run begins: their steps are those of their connections, whatever tables there are today.
 * Fails with CONFIG_INVALID where the job's schedule has no meaning for Airflow.
 */
export function dagFile(spec: JobSpec, folder: string, operator: Operator): string {
  const does = operatorText(operator)
  const { job, schedule, sla, airflow } = spec
  const when = scheduleOf(spec)
  const waits = schedule?.cron === undefined ? [] : (schedule.after ?? [])
  const waitNames = plainNames(waits, /\W/g)
  const waitName = (name: string) => `wait_for_${waitNames.get(name)}`
  const limit = airflow.email.length > 0 ? sla?.maxDuration : undefined
  const imports = [
    ...['Asset', 'TriggerRule', ...does.sdk, ...when.imports],
    ...(limit === undefined ? [] : ['AsyncCallback', 'DeadlineAlert', 'DeadlineReference']),
  ]
  const froms = [
    ...does.imports.filter(line => line.startsWith('from ')),
    ...(limit === undefined ? [] : ['from airflow.providers.smtp.notifications.smtp import SmtpNotifier']),
    ...(waits.length === 0
      ? []
      : ['from airflow.providers.standard.sensors.external_task import ExternalTaskSensor']),
    ['from airflow.sdk import (', '    DAG,', ...imports.toSorted().map(name => `    ${name},`), ')'].join(
      '\n',
    ),
    'from airflow.sdk.exceptions import AirflowException, AirflowFailException',
  ]
  const steps = stepsOf(spec)
  const buckets = steps.filter(step => isOfKind(step, 'bucket'))
  const loads = steps.filter(step => isOfKind(step, 'load'))
  const pools = byPool(spec, steps)
  const poolNames = plainNames(
    pools.map(([pool]) => pool),
    /[^\w.-]/g,
  )
  const made = [job, ...spec.loads.map(({ table }) => `${job}/${table}`)]
  return lines([
    `"""${job}: written by \`nightfreight airflow export\`. Change the job, and export it again."""`,
    '',
    'from __future__ import annotations',
    '',
    ...does.imports.filter(line => line.startsWith('import ')),
    'from datetime import timedelta',
    '',
    'import pendulum',
    ...froms.toSorted(),
    '',
    `JOB = ${py(folder)}`,
    ...does.constants,
    '',
    '',
    does.text,
    '',
    'with DAG(',
    `    dag_id=${py(job)},`,
    `    schedule=${when.text},`,
    `    start_date=${pendulumTime(schedule?.start ?? START)},`,
    `    catchup=${py(schedule?.catchup ?? false)},`,
    `    max_active_runs=${schedule?.maxActiveRuns ?? 1},`,
    ...(limit === undefined ? [] : deadline(job, limit, airflow.email)),
    '    default_args={',
    `        "owner": ${py(airflow.owner)},`,
    `        "depends_on_past": ${py(schedule?.dependsOnPast ?? false)},`,
    `        "retries": ${airflow.retries},`,
    `        "retry_delay": ${timedelta(airflow.retryDelay)},`,
    ...(schedule?.priority ? [`        "priority_weight": ${schedule.priority},`] : []),
    ...(airflow.email.length > 0
      ? [
          `        "email": ${py(airflow.email)},`,
          '        "email_on_failure": True,',
          '        "email_on_retry": False,',
        ]
      : []),
    '    },',
    `    tags=${py(airflow.tags)},`,
    ') as dag:',
    ...waits.flatMap(name => waitFor(name, waitName(name))),
    '    check = Nightfreight(task_id="check", step="check")',
    '    plan = Nightfreight(task_id="plan", step="plan")',
    '    extracts = [',
    ...pools.flatMap(([pool, some]) =>
      mapped('        ', pool ? `extract_${poolNames.get(pool)}` : 'extract', some, pool),
    ),
    '    ]',
    ...(buckets.length > 0
      ? [
          '    prepare = Nightfreight(task_id="prepare", step="prepare")',
          '    buckets = [',
          ...mapped('        ', 'bucket', buckets),
          '    ]',
        ]
      : []),
    '    models = Nightfreight(task_id="models", step="models")',
    '    loads = [',
    ...mapped('        ', 'load', loads),
    '    ]',
    '    finish = Nightfreight(',
    '        task_id="finish",',
    '        step="finish",',
    '        trigger_rule=TriggerRule.ALL_DONE,',
    '        outlets=[',
    ...made.map(name => `            ${asset(name)},`),
    '        ],',
    '    )',
    `    check >> plan >> extracts${buckets.length > 0 ? ' >> prepare >> buckets' : ''} >> models >> loads >> finish`,
    ...(waits.length > 0
      ? ['    [', ...waits.map(name => `        ${waitName(name)},`), '    ] >> check']
      : []),
  ])
}

/** When a DAG runs, and what that imports. */
function scheduleOf({ job, schedule }: JobSpec): { text: string; imports: string[] } {
  if (schedule?.files)
    throw new EngineError('CONFIG_INVALID', `${job}: schedule.files: Airflow does not see files arrive`, {
      hint: 'Give the job a cron, or let nightfreight serve run it.',
    })
  if (schedule?.follow)
    throw new EngineError('CONFIG_INVALID', `${job}: schedule.follow: Airflow does not see logs change`, {
      hint: 'Give the job a cron, or let nightfreight serve run it.',
    })
  if (schedule?.catchup && !schedule.start)
    throw new EngineError('CONFIG_INVALID', `${job}: schedule.catchup without schedule.start`, {
      hint: 'Airflow has to know the first data interval: set schedule.start.',
    })
  if (schedule?.cron !== undefined)
    return {
      text: `CronDataIntervalTimetable(${py(schedule.cron)}, timezone=${py(schedule.timezone)})`,
      imports: ['CronDataIntervalTimetable'],
    }
  return { text: schedule?.after ? `[${schedule.after.map(asset).join(', ')}]` : 'None', imports: [] }
}

/** Extract steps by the pool that bounds how many read of a system at once; '' for those of none. */
function byPool({ extracts, pools, globs }: JobSpec, steps: string[]): [string, string[]][] {
  const bounded = [
    ...extracts.map(({ name, from }) => ({ from, pool: ownValue(pools, name) })),
    ...globs.extracts,
  ]
  const poolOf = (step: string) =>
    bounded.find(({ from, pool }) => from === subjectOf(step) && pool !== undefined)?.pool ?? ''
  return [
    ...Map.groupBy(
      steps.filter(step => isOfKind(step, 'extract')),
      poolOf,
    ),
  ]
}

/** Names without what Airflow, or Python, does not take in one; no two of them are one, and those that are such keep theirs. */
function plainNames(names: readonly string[], other: RegExp): Map<string, string> {
  const plain = (name: string) => name.replace(other, '_')
  const found = new Map<string, string>()
  const taken = new Set<string>()
  for (const name of names.toSorted((a, b) => Number(plain(a) !== a) - Number(plain(b) !== b))) {
    let unique = plain(name)
    for (let n = 2; taken.has(unique); n++) unique = `${plain(name)}_${n}`
    taken.add(unique)
    found.set(name, unique)
  }
  return found
}

function mapped(indent: string, id: string, steps: string[], pool = ''): string[] {
  return [
    'Nightfreight.partial(',
    `    task_id=${py(id)},`,
    ...(pool === '' ? [] : [`    pool=${py(pool)},`]),
    '    map_index_template="{{ task.step }}",',
    `).expand(step=${py(steps)}),`,
  ].map(line => indent + line)
}

/** Waits, without a worker, for the run of another job that has the same data interval. */
const waitFor = (job: string, name: string) => [
  `    ${name} = ExternalTaskSensor(`,
  `        task_id=${py(`wait_for_${job}`)},`,
  `        external_dag_id=${py(job)},`,
  '        failed_states=["failed"],',
  '        check_existence=True,',
  '        deferrable=True,',
  '    )',
]

const deadline = (job: string, limit: number, email: string[]) => [
  '    deadline=DeadlineAlert(',
  '        reference=DeadlineReference.DAGRUN_QUEUED_AT,',
  `        interval=${timedelta(limit)},`,
  '        callback=AsyncCallback(',
  '            SmtpNotifier,',
  `            kwargs={"to": ${py(email)}, "subject": ${py(`${job} is late`)}},`,
  '        ),',
  '    ),',
]

const asset = (name: string) => `Asset(${py(`nightfreight://${name}`)})`
const timedelta = (millis: number) => `timedelta(seconds=${millis / 1000})`
const pendulumTime = (at: Date) => `pendulum.parse(${py(at.toISOString().replace('.000Z', 'Z'))})`
const lines = (all: string[]) => all.map(line => `${line}\n`).join('')

/** A value in Python's notation. */
function py(value: string | boolean | string[]): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `[${value.map(py).join(', ')}]`
  return JSON.stringify(value)
}
