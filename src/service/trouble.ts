import { counted } from '../../engine/plural.ts'
import { someOf } from '../util/someOf.ts'
import type { Catalog } from './catalog.ts'
import type { FileWatch } from './files.ts'
import type { SchedulerFacts } from './scheduler.ts'

/** What keeps runs from being begun that should be, a line each. */
export function troublesOf(
  { jobs, failures }: Pick<Catalog, 'jobs' | 'failures'>,
  { blocked, ahead, stuck, unserved }: SchedulerFacts,
  unseen: FileWatch['unseen'],
): string[] {
  return [
    ...(jobs.size === 0 ? ['no job can be used: see the log'] : []),
    ...failures.map(({ name }) => `${name}: its files cannot be used: see the log`),
    ...[...blocked].map(
      ([job, { reason, since, waiting }]) =>
        `${job}: ${counted(waiting, 'data interval')} ${waiting === 1 ? 'waits' : 'wait'} since ${since}: ${reason}`,
    ),
    ...[...ahead].map(
      ([job, end]) =>
        `${job}: nothing is planned before ${end.toISOString()}, which was planned while a clock was ahead`,
    ),
    ...stuck.map(
      ({ job, start, since, count }) =>
        `${job}: the run of ${start} does not begin, ${counted(count, 'start')} since ${since.toISOString()}: see the log and runs.log`,
    ),
    ...(unserved.length > 0
      ? [`${someOf(unserved)}: the service that leads on this store serves other folders: see the log`]
      : []),
    ...[...unseen.keys()].map(job => `${job}: files that are to start it cannot be seen: see the log`),
  ]
}
