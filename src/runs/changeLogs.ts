import type { LogStatus } from '../../engine/contracts/source.ts'
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

/** Has the servers forget the job: its next run reads its tables anew. Gives what was removed, by connection. */
export function dropLogs(
  spec: JobSpec,
  signal: AbortSignal,
): Promise<{ connection: string; removed: string[] }[]> {
  return eachLog(spec, async (log, { connection, reader }) => ({
    connection,
    removed: await log.drop(reader, signal),
  }))
}

type Log = NonNullable<
  ReturnType<NonNullable<JobSpec['connections'][string]['connector']['source']>>['changeLog']
>

async function eachLog<T>(
  spec: JobSpec,
  look: (log: Log, names: Pick<FollowedLog, 'connection' | 'reader' | 'extracts'>) => Promise<T>,
): Promise<T[]> {
  const followed = Map.groupBy(
    spec.extracts.filter(({ changes }) => changes),
    ({ from }) => from,
  )
  if (followed.size === 0)
    throw new EngineError('CONFIG_INVALID', `${spec.job}: no extract has mode: changes`, {
      hint: 'Give an extract of a Postgres, MySQL or MariaDB connection mode: changes.',
    })
  const found: T[] = []
  for (const [connection, extracts] of followed) {
    const { connector, config, context } = spec.connections[connection]!
    const source = connector.source!(config, context)
    try {
      const names = {
        connection,
        reader: readerOf(spec.job, connection),
        extracts: extracts.map(({ name }) => name),
      }
      found.push(await look(source.changeLog!, names))
    } finally {
      await source.close()
    }
  }
  return found
}
