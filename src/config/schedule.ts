import type { ExtractSpec } from '../../engine/contracts/source.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { folderOf } from '../connectors/local/store.ts'
import { timeIn, Zone } from '../schedule/zone.ts'
import type { FileTrigger, JobConnection, Schedule } from '../spec/job.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'

/** A job's schedule, its start in the schedule's own time zone; problems go to the document. */
export function readSchedule(
  document: Document,
  { job, schedule }: JobYaml,
  connections: Record<string, JobConnection>,
  extracts: Pick<ExtractSpec, 'changes'>[],
): Schedule | undefined {
  if (!schedule) return undefined
  const { cron, timezone, start, after, files, follow, priority } = schedule
  if (after?.includes(job))
    document.problem(['schedule', 'after'], `schedule.after: ${job} cannot wait for itself`)
  if (follow && !extracts.some(({ changes }) => changes))
    document.problem(
      ['schedule', 'follow'],
      'schedule.follow: no extract has mode: changes, so there is no log to follow',
      'key',
    )
  const trigger = files && fileTrigger(document, files, connections)
  return {
    ...(cron && { cron }),
    timezone,
    ...(start && { start: timeIn(new Zone(timezone), start)! }),
    catchup: schedule.catchup,
    maxActiveRuns: schedule.max_active_runs,
    dependsOnPast: schedule.depends_on_past,
    ...(after && { after }),
    ...(trigger && { files: trigger }),
    ...(follow && { follow }),
    ...(priority && { priority }),
  }
}

function fileTrigger(
  document: Document,
  { from, match }: { from: string; match: string },
  connections: Record<string, JobConnection>,
): FileTrigger | undefined {
  const connection = ownValue(connections, from)
  const path = ['schedule', 'files', 'from']
  if (!connection)
    document.problem(
      path,
      `schedule.files.from: no connection "${from}"${didYouMean(from, Object.keys(connections))}`,
    )
  else if (connection.connector.name !== 'local')
    document.problem(
      path,
      `schedule.files.from: ${from} is ${connection.connector.name}; expected a folder of this machine`,
    )
  else {
    const { url } = connection.config as { url: string }
    return { from, match, folder: folderOf(url, connection.context.baseDir) }
  }
  return undefined
}
