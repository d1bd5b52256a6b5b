import type { KeptBeyond, LogStatus } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { readerOf } from '../../engine/plan/prepare.ts'
import type { JobSpec } from '../spec/job.ts'

/** What a server keeps of its log for a job. */
export interface FollowedLog extends LogStatus {
  connection: string
  reader: string
  extracts: string[]
}

/** How far each log that a job reads is kept for it. */
export function logStatus(spec: JobSpec, signal: AbortSignal): Promise<FollowedLog[]> {
  return eachLog(spec, async (log, names) => ({ ...names, ...(await log.status(names.reader, signal)) }))
}

/** A log of which a server kept more than it may. */
export type LimitedLog = KeptBeyond & Pick<FollowedLog, 'connection' | 'extracts'>

/** Has the servers drop what they keep for a job beyond what its connections allow; gives what they kept. */
export async function limitLogs(spec: JobSpec, signal: AbortSignal): Promise<LimitedLog[]> {
  const limited = await eachLog(spec, async (log, { connection, reader, extracts }) => {
    const beyond = await log.limitKept?.(reader, signal)
    return beyond && { connection, extracts, ...beyond }
  })
  return limited.filter(each => each !== undefined)
}

/** Has the servers forget the job: its next run needs --full-refresh. Gives what was removed, by connection. */
export function dropLogs(
  spec: JobSpec,
  signal: AbortSignal,
): Promise<{ connection: string; removed: string[] }[]> {
  return eachLog(spec, async (log, { connection, reader }) => ({
    connection,
    removed: await log.drop(reader, signal),
  }))
}

/**
 * Watches the logs of a job from the points up to which its extracts were read: `seen` is told how many changes are committed, as
 * they come. Ends once the signal does; fails as soon as one log cannot be read.
 */
export async function watchLogs(
  spec: JobSpec,
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

async function eachLog<T>(
  spec: JobSpec,
  look: (log: Log, names: Pick<FollowedLog, 'connection' | 'reader' | 'extracts'>) => Promise<T>,
): Promise<T[]> {
  const followed = followedBy(spec)
  if (followed.length === 0)
    throw new EngineError('CONFIG_INVALID', `${spec.job}: no extract has mode: changes`, {
      hint: 'Give an extract of a Postgres, MySQL or MariaDB connection mode: changes.',
    })
  const found: T[] = []
  for (const [connection, extracts] of followed) {
    const names = {
      connection,
      reader: readerOf(spec.job, connection),
      extracts: extracts.map(({ name }) => name),
    }
    found.push(await withLog(spec, connection, log => look(log, names)))
  }
  return found
}

/** The followed extracts of a job, by their connection. */
const followedBy = ({ extracts }: JobSpec) => [
  ...Map.groupBy(
    extracts.filter(({ changes }) => changes),
    ({ from }) => from,
  ),
]

async function withLog<T>(spec: JobSpec, connection: string, use: (log: Log) => Promise<T>): Promise<T> {
  const { connector, config, context } = spec.connections[connection]!
  const source = connector.source!(config, context)
  try {
    return await use(source.changeLog!)
  } finally {
    await source.close()
  }
}
