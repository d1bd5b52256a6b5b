import type { KeptBeyond, LogStatus } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { readerOf } from '../../engine/plan/prepare.ts'
import type { JobSpec } from '../spec/job.ts'
import { shellWord } from '../util/shell.ts'
import { megabytes } from '../util/units.ts'

/** What is needed of a job to ask for its logs. */
export type LoggedJob = Pick<JobSpec, 'job' | 'connections' | 'extracts'>

/** What a server keeps of its log for a job; `extracts`: those that read it. */
export interface FollowedLog extends LogStatus {
  connection: string
  reader: string
  extracts: string[]
}

/** A server could not be asked what it keeps for a job that reads its log no more. */
type Unasked = (connection: string, error: EngineError) => void

/** How far each log that a job reads is kept for it, or that is still kept for it. */
export async function logStatus(
  spec: LoggedJob,
  signal: AbortSignal,
  unasked?: Unasked,
): Promise<FollowedLog[]> {
  const logs = await eachLog(
    spec,
    async (log, names) => ({ ...names, ...(await log.status(names.reader, signal)) }),
    unasked,
  )
  return logs.filter(({ extracts, exists }) => extracts.length > 0 || exists)
}

/** A log of which a server kept more than it may. */
export type LimitedLog = KeptBeyond & Pick<FollowedLog, 'connection' | 'extracts'>

/** Has the servers drop what they keep for a job beyond what its connections allow; gives what they kept. */
export async function limitLogs(spec: LoggedJob, signal: AbortSignal): Promise<LimitedLog[]> {
  const limited = await eachLog(spec, async (log, { connection, reader, extracts }) => {
    const beyond = await log.limitKept?.(reader, signal)
    return beyond && { connection, extracts, ...beyond }
  })
  return limited.filter(each => each !== undefined)
}

/**
 * Has the servers of a job, or of these connections of it, forget it: where it reads their logs, its next run needs
 * --full-refresh. Gives what was removed, by connection.
 */
export async function dropLogs(
  spec: LoggedJob,
  signal: AbortSignal,
  { only = [], unasked }: { only?: string[]; unasked?: Unasked } = {},
): Promise<{ connection: string; removed: string[] }[]> {
  const names = Object.keys(spec.connections)
  const unknown = only.find(name => !names.includes(name))
  if (unknown !== undefined)
    throw new EngineError(
      'CONFIG_INVALID',
      `${spec.job} has no connection ${unknown}${didYouMean(unknown, names)}`,
      { hint: `Its connections: ${names.join(', ')}.` },
    )
  const wanted = only.length > 0 ? withConnections(spec, name => only.includes(name)) : spec
  const dropped = await eachLog(
    wanted,
    async (log, { connection, reader, extracts }) => ({
      connection,
      extracts,
      removed: (await log.drop?.(reader, signal)) ?? [],
    }),
    unasked,
  )
  return dropped
    .filter(({ extracts, removed }) => extracts.length > 0 || removed.length > 0)
    .map(({ connection, removed }) => ({ connection, removed }))
}

/** Milliseconds that a run waits for what only tells. */
const TELL_MS = 5_000

/** Says which servers keep their logs for a job that reads them no more. Nothing where they cannot be asked: a run does not need to know. */
export async function tellUnread(
  spec: JobSpec,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { extracts, loads, folder } = spec
  const isUnread = (name: string) =>
    !extracts.some(({ from, changes }) => from === name && changes) &&
    (extracts.some(({ from }) => from === name) || !loads.some(({ to }) => to === name))
  const either = AbortSignal.any([signal, AbortSignal.timeout(TELL_MS)])
  const logs = await logStatus(withConnections(spec, isUnread), either).catch(() => [])
  for (const { connection, holder, bytes = 0 } of logs)
    note(
      `${connection}: ${holder} keeps ${megabytes(bytes)} of log, and more with each day, which no extract reads any more: nightfreight changes drop ${shellWord(folder)} ${shellWord(connection)}`,
    )
}

const withConnections = (spec: LoggedJob, isOne: (name: string) => boolean): LoggedJob => ({
  ...spec,
  connections: Object.fromEntries(Object.entries(spec.connections).filter(([name]) => isOne(name))),
})

/**
 * Watches the logs of a job from the points up to which its extracts were read: `seen` is told how many changes are committed, as
 * they come. Ends once the signal does; fails as soon as one log cannot be read.
 */
export async function watchLogs(
  spec: LoggedJob,
  points: ReadonlyMap<string, string | null>,
  seen: (changes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const own = new AbortController()
  const either = AbortSignal.any([signal, own.signal])
  const watches = followedBy(spec).map(async ([connection, extracts]) => {
    try {
      const tables = extracts.map(extract => ({ spec: extract, from: points.get(extract.name)! }))
      await withLog(spec, connection, log => log.watch(readerOf(spec.job, connection), tables, seen, either))
    } finally {
      own.abort()
    }
  })
  await Promise.allSettled(watches)
  await Promise.all(watches)
}

type Log = NonNullable<
  ReturnType<NonNullable<JobSpec['connections'][string]['connector']['source']>>['changeLog']
>

/** Asks each connection of a job for its log: also those that no extract reads the log of any more, where a server may keep it for the job all the same. */
async function eachLog<T>(
  spec: LoggedJob,
  look: (log: Log, names: Pick<FollowedLog, 'connection' | 'reader' | 'extracts'>) => Promise<T>,
  unasked?: Unasked,
): Promise<T[]> {
  const followed = new Map(followedBy(spec))
  const found: T[] = []
  for (const [connection, { connector }] of Object.entries(spec.connections)) {
    if (!connector.capabilities.changes) continue
    const extracts = (followed.get(connection) ?? []).map(({ name }) => name)
    const names = { connection, reader: readerOf(spec.job, connection), extracts }
    try {
      found.push(
        ...(await withLog(spec, connection, async log =>
          extracts.length > 0 || log.drop ? [await look(log, names)] : [],
        )),
      )
    } catch (error) {
      if (extracts.length > 0 || !(error instanceof EngineError)) throw error
      unasked?.(connection, error)
    }
  }
  return found
}

/** The followed extracts of a job, by their connection. */
const followedBy = ({ extracts }: LoggedJob) => [
  ...Map.groupBy(
    extracts.filter(({ changes }) => changes),
    ({ from }) => from,
  ),
]

async function withLog<T>(spec: LoggedJob, connection: string, use: (log: Log) => Promise<T>): Promise<T> {
  const { connector, config, context } = spec.connections[connection]!
  const source = connector.source!(config, context)
  try {
    return await use(source.changeLog!)
  } finally {
    await source.close()
  }
}
