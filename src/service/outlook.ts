import { counted } from '../../engine/plural.ts'
import type { Intervals } from '../metadata/intervals.ts'
import { AT_ONCE, dueIntervals } from '../schedule/due.ts'
import type { ScheduledJob } from './job.ts'

/** What a service that starts at `now` does of a job: what it begins at once, and why, and what comes next. */
export async function outlookOf(
  job: ScheduledJob,
  intervals: Pick<Intervals, 'lastPlanned' | 'list'>,
  isPaused: boolean,
  now: Date,
): Promise<string> {
  if (isPaused) return `${job.name}: paused: nothing is begun (nightfreight unpause ${job.name})`
  const waiting = (await intervals.list(job.name, AT_ONCE)).filter(({ state }) => state === 'WAITING')
  const due = await dueNow(job, intervals, now)
  const parts = [
    ...(waiting.length > 0 ? [`goes on with ${counted(waiting.length, 'data interval')} that wait`] : []),
    ...(due ? [due] : []),
    ...nextOf(job, now),
  ]
  return `${job.name}: ${parts.join('; ') || 'has no schedule: nothing of it is begun'}`
}

async function dueNow(
  job: ScheduledJob,
  intervals: Pick<Intervals, 'lastPlanned'>,
  now: Date,
): Promise<string | undefined> {
  const { cron, start, catchup } = job
  if (!cron) return undefined
  const cursor = await intervals.lastPlanned(job.name)
  const found = dueIntervals({ cron, catchup, ...(start && { start }) }, cursor, now)
  const [first] = found
  if (!first) return undefined
  const range = `${time(first.start)} to ${time(found.at(-1)!.end)}`
  const what =
    found.length > 1
      ? `the runs of ${found.length === AT_ONCE ? 'at least ' : ''}${counted(found.length, 'data interval')}, ${range}`
      : `the run of ${range}`
  const why = cursor
    ? `no service has begun ${found.length > 1 ? 'them' : 'it'} yet`
    : 'the schedule has run nothing yet (start: in the schedule says what is left alone)'
  return `begins at once ${what}: that is over, and ${why}`
}

function nextOf({ cron, start, files, follow, after }: ScheduledJob, now: Date): string[] {
  if (cron) {
    // The first interval from `start` on is over where the one after it begins.
    const first = start && start > now ? cron.align(start) : undefined
    const next = first ? cron.next(first) : cron.next(now)
    return next ? [`next at ${time(next)}`] : ['its cron gives no further time']
  }
  if (files) return ['runs when files arrive']
  if (follow) return ['runs as its log changes']
  return after.length > 0 ? [`runs after ${after.join(', ')}`] : []
}

const time = (at: Date) => at.toISOString().replace('.000Z', 'Z')
