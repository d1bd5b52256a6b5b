import type { Logger } from 'pino'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError, EXIT, errorData } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import type { Claim, OpenInterval } from '../metadata/intervals.ts'
import type { Lease } from '../metadata/leases.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { pausedOf } from '../metadata/pauses.ts'
import { poolSlots, setPools } from '../metadata/pools.ts'
import { isAlive, isRunning } from '../util/owner.ts'
import type { ServiceAlerts } from './alerts.ts'
import { type Blocked, isLeft, reasonToWait, START_TIME, type Wait } from './dependencies.ts'
import type { ScheduledJob } from './job.ts'
import { Planner, SKEW } from './planner.ts'
import type { Runner } from './runner.ts'
import { byUrgency, FreeSlots } from './slots.ts'
import { type FailedStarts, Starts } from './starts.ts'
import { noteOf, Unserved } from './unserved.ts'
import { keyOf, Waits } from './waits.ts'

/** Told of what a person has to know. */
export type SchedulerAlerts = Pick<
  ServiceAlerts,
  'blocked' | 'missed' | 'ahead' | 'gaveUp' | 'stuck' | 'unserved'
>

export interface SchedulerOptions {
  metadata: Metadata
  /** Says what is due; leases are judged by the store's own clock. */
  clock: Clock
  jobs: () => ReadonlyMap<string, ScheduledJob>
  /** How many runs may be active at once. */
  slots: number
  /** How many runs that use a pool: the store's, once this scheduler leads. Default: what the store has. */
  pools?: ReadonlyMap<string, number>
  runner: Runner
  /** Names this process, as runs are owned. */
  owner: string
  log: Logger
  alerts?: SchedulerAlerts
  /** Told when a run has ended: another may begin. */
  freed?: () => void
  /** Milliseconds that the lead lasts without renewal. */
  leadTime?: number
  /** Milliseconds in which a process that took an interval must begin its run, or say that it still will. */
  startTime?: number
}

/** What a scheduler sees. */
export interface SchedulerFacts {
  leads: boolean
  waiting: number
  running: number
  /** By job. */
  blocked: ReadonlyMap<string, Blocked>
  /** Jobs of which nothing is planned before a time that was planned already, and is in the future. */
  ahead: ReadonlyMap<string, Date>
  /** Intervals whose run is started again and again, and does not begin. */
  stuck: readonly FailedStarts[]
  /** Jobs that the service which leads does not have: nobody begins their runs. */
  unserved: readonly string[]
}

/** Within 30 s somebody else leads, also where nobody can see that the leader has died. */
const LEAD_TIME = 15_000
/** A run that was begun and killed so often is not begun again. */
const MOST_ATTEMPTS = 10
const LEAD = 'scheduler'

/**
 * Plans and starts runs while it leads. `tick` is to be called again and again; any number of schedulers on one store
 * may do so. That no interval runs twice does not rest on the lead but on the claim under which a run begins.
 */
export class Scheduler {
  private readonly options: Required<Omit<SchedulerOptions, 'alerts' | 'freed' | 'pools'>> &
    Pick<SchedulerOptions, 'alerts' | 'freed' | 'pools'>
  private readonly waits: Waits
  private blocked = new Map<string, Blocked>()
  private lead: { lease: Lease; planner: Planner; renewed: number; told?: string } | undefined
  private readonly mine = new Map<string, { claim: Claim; ended: Promise<void> }>()
  private readonly starts: Starts
  private stuck: readonly FailedStarts[] = []
  private readonly unserved: Unserved
  private stopped = false
  /** Intervals by job. */
  private waiting: ReadonlyMap<string, number> = new Map()

  constructor(options: SchedulerOptions) {
    this.options = { leadTime: LEAD_TIME, startTime: START_TIME, ...options }
    this.waits = new Waits(options.metadata.intervals)
    this.unserved = new Unserved(options.log, options.alerts)
    this.starts = new Starts(() => options.metadata.intervals.now())
  }

  get facts(): SchedulerFacts {
    return {
      leads: this.lead !== undefined,
      waiting: [...this.waiting.values()].reduce((sum, count) => sum + count, 0),
      running: this.mine.size,
      // Who follows has seen nothing of late.
      blocked: this.lead ? this.blocked : new Map(),
      ahead: this.lead?.planner.ahead ?? new Map(),
      stuck: this.lead ? this.stuck : [],
      unserved: this.lead ? [] : this.unserved.names,
    }
  }

  /** One round: lead or follow, plan what is due, take over what was left, start what may begin. */
  async tick(): Promise<void> {
    if (this.stopped || !(await this.leads())) return
    try {
      await this.round(this.lead!)
    } catch (error) {
      if (!(error instanceof EngineError && error.code === 'FENCED')) throw error
      this.options.log.warn('another scheduler leads')
      this.lead = undefined
    }
  }

  /** Starts nothing more, lets another lead, stops the runs and waits for their end. */
  async stop(): Promise<void> {
    this.stopped = true
    const { metadata, runner } = this.options
    if (this.lead) await metadata.leases.release(this.lead.lease)
    this.lead = undefined
    runner.stop()
    await Promise.all([...this.mine.values()].map(({ ended }) => ended))
  }

  private async leads(): Promise<boolean> {
    const { metadata, clock, owner, leadTime, log, jobs } = this.options
    const { leases, intervals, triggers } = metadata
    const now = intervals.now().getTime()
    if (this.lead) {
      // Nor where the clock was put back.
      if (Math.abs(now - this.lead.renewed) < leadTime / 3) return true
      if (await leases.renew(this.lead.lease, leadTime)) {
        this.lead.renewed = now
        return true
      }
      log.warn('another scheduler leads')
      this.lead = undefined
    }
    const holder = await leases.holder(LEAD)
    const dead = holder && !isAlive(holder.owner) ? holder.owner : undefined
    if (holder && dead === undefined) {
      this.unserved.look(jobs(), holder, intervals.now())
      return false
    }
    const lease = await leases.acquire(LEAD, owner, leadTime, dead)
    if (!lease) return false
    log.info({ fence: lease.fence }, 'this scheduler leads')
    const { alerts, pools } = this.options
    for (const pool of pools ? await setPools(metadata.database, pools) : [])
      log.warn({ pool }, 'the pool has no limit any more: this service was started without it')
    const planner = new Planner(intervals, triggers, clock, lease, {
      missed: (job, found) => void alerts?.missed(job, found),
      ahead: (job, end) => void alerts?.ahead(job, end),
    })
    this.lead = { lease, planner, renewed: now }
    return true
  }

  private async round(lead: NonNullable<typeof this.lead>): Promise<void> {
    const { lease, planner } = lead
    const { metadata, jobs } = this.options
    const pauses = await metadata.pauses.list()
    const paused = pausedOf(pauses, 'job')
    const closed = pausedOf(pauses, 'pool')
    const known = jobs()
    const note = noteOf(known)
    if (lead.told !== note) await metadata.leases.tell(lease, note)
    lead.told = note
    await planner.plan(known.values(), paused, this.waiting)
    const open = await metadata.intervals.open()
    const waiting = open.filter(({ state }) => state === 'WAITING')
    this.waiting = countBy(waiting)
    const reasons = new Map<string, string>()
    const held = ({ job }: { job: string }) => {
      const pool = known.get(job)?.pools.find(each => closed.has(each))
      return paused.has(job) ? 'the job is paused' : pool && `the pool ${pool} is paused`
    }
    const mayGoOn = ({ job }: { job: string }) =>
      held({ job }) === undefined && known.has(job) && known.get(job)?.broken === undefined
    const left = await this.leftBehind(open, known)
    const goingOn = left.filter(interval => mayGoOn(interval) && !this.starts.isResting(interval))
    // Without a process, and none is started: it takes no slot.
    const active = open.filter(interval => !left.includes(interval) || mayGoOn(interval))
    this.stuck = this.starts.review(open).filter(mayGoOn)
    const mayStart = waiting.filter(interval => {
      const reason = held(interval)
      if (reason) reasons.set(keyOf(interval.job, interval.interval_start), reason)
      return reason === undefined
    })
    const starting = await this.starting(mayStart, await this.freeSlots(active, known), open, known, reasons)
    await this.waits.note(waiting, reasons)
    for (const [job, blocked] of this.blocked) void this.options.alerts?.blocked(known.get(job)!, blocked)
    for (const each of this.stuck) void this.options.alerts?.stuck(known.get(each.job)!, each)
    const wanted = [...goingOn, ...starting]
    if (wanted.length === 0 || this.stopped) return
    const taken = await metadata.intervals.take(wanted, lease)
    const claims = new Map(taken.map(claim => [keyOf(claim.job, claim.start), claim]))
    // In the order of their urgency, which the store does not keep.
    for (const record of wanted) {
      const claim = claims.get(keyOf(record.job, record.interval_start))
      if (claim) this.start(known.get(record.job)!, claim, record)
    }
  }

  /** What is free beside the runs that are active, whoever started them. */
  private async freeSlots(
    open: OpenInterval[],
    known: ReadonlyMap<string, ScheduledJob>,
  ): Promise<FreeSlots> {
    const { metadata, slots } = this.options
    const free = new FreeSlots({ slots, pools: await poolSlots(metadata.database) })
    const now = metadata.intervals.now()
    const others = (await metadata.intervals.others()).filter(run => isRunning(run, now))
    for (const { job } of [...open.filter(({ state }) => state === 'RUNNING'), ...others])
      free.take(known.get(job) ?? { name: job, pools: [] })
    return free
  }

  /** Intervals whose process has gone, or never began their run. */
  private async leftBehind(
    open: OpenInterval[],
    known: ReadonlyMap<string, ScheduledJob>,
  ): Promise<OpenInterval[]> {
    const { metadata, startTime } = this.options
    const now = metadata.intervals.now()
    const left: OpenInterval[] = []
    for (const interval of open) {
      if (interval.state !== 'RUNNING' || !known.has(interval.job)) continue
      const mine = this.mine.get(keyOf(interval.job, interval.interval_start))
      if (mine) {
        if (interval.run === null) await metadata.intervals.touch(mine.claim)
        continue
      }
      if (!isLeft(interval, now, startTime)) continue
      if ((interval.attempt ?? 0) < MOST_ATTEMPTS) left.push(interval)
      else await this.giveUp(interval, known.get(interval.job)!)
    }
    return left
  }

  private async starting(
    waiting: OpenInterval[],
    slots: FreeSlots,
    open: OpenInterval[],
    known: ReadonlyMap<string, ScheduledJob>,
    reasons: Map<string, string>,
  ): Promise<OpenInterval[]> {
    const oldest = new Map<string, string>()
    for (const { job, interval_start } of open)
      if (interval_start < (oldest.get(job) ?? '~')) oldest.set(job, interval_start)
    const starting: OpenInterval[] = []
    const blocked = new Map<string, Blocked>()
    const counts = countBy(waiting)
    for (const interval of waiting.sort(byUrgency(known))) {
      const job = known.get(interval.job)
      const wait = await this.waitOf(interval, job, slots, oldest)
      if (!wait) {
        slots.take(job!)
        starting.push(interval)
        continue
      }
      const { reason, failed } = wait
      reasons.set(keyOf(interval.job, interval.interval_start), reason)
      if (failed !== undefined)
        blocked.set(interval.job, {
          reason,
          since: interval.interval_end,
          waiting: counts.get(interval.job)!,
          failed,
        })
    }
    this.blocked = blocked
    return starting
  }

  /** Why an interval is not begun now; undefined where it can be. */
  private async waitOf(
    interval: OpenInterval,
    job: ScheduledJob | undefined,
    slots: FreeSlots,
    oldest: ReadonlyMap<string, string>,
  ): Promise<Wait | undefined> {
    if (!job) return { reason: 'no scheduler has the job' }
    if (job.broken !== undefined) return { reason: `the job cannot be used: ${job.broken}` }
    // Planned while a clock was ahead.
    if (Date.parse(interval.interval_end) > this.options.clock.now().getTime() + SKEW)
      return { reason: 'its end is in the future' }
    // Without a question to the store: one before it has not even ended.
    const first = oldest.get(job.name)
    if (job.dependsOnPast && first !== interval.interval_start)
      return { reason: `the intervals before it, from ${first} on` }
    const reason = slots.reason(job)
    if (reason) return { reason }
    if (this.starts.isResting(interval)) return { reason: 'it could not begin, and is tried again soon' }
    return reasonToWait(this.options.metadata.intervals, job, interval)
  }

  private start(job: ScheduledJob, claim: Claim, record: OpenInterval): void {
    const key = keyOf(claim.job, claim.start)
    const ended = this.run(job, claim, record)
      // Whoever leads finds the interval left behind.
      .catch(error => {
        const about = { job: claim.job, interval: claim.start, try: claim.fence }
        this.options.log.error({ ...about, error: errorData(error) }, 'the end of a run could not be noted')
      })
      .finally(() => {
        this.mine.delete(key)
        this.options.freed?.()
      })
    this.mine.set(key, { claim, ended })
  }

  private async run(job: ScheduledJob, claim: Claim, record: OpenInterval): Promise<void> {
    const { runner, log } = this.options
    const about = { job: claim.job, interval: claim.start, try: claim.fence }
    log.info(about, 'run begins')
    let failure: unknown
    const code = await runner
      .start({ job, claim, end: record.interval_end, trigger: triggerOf(job) })
      .catch(error => {
        failure = error
      })
    if (code === undefined) log.error({ ...about, error: errorData(failure) }, 'a run could not be started')
    else log.info({ ...about, code }, 'run ended')
    // It has begun and ended, and so has the interval.
    if (code === EXIT.ok) return this.starts.succeed(record)
    const outcome = await this.outcomeOf(claim, record)
    if (outcome === 'ended' || outcome === 'killed') this.starts.succeed(record)
    else if (code === undefined) this.starts.fail(record, errorData(failure).message)
    else
      this.starts.fail(
        record,
        code === null ? 'its process was killed' : `its process ended with code ${code}`,
      )
    const isTransient = code === null || code === EXIT.retryable || code === EXIT.interrupted
    if (outcome !== 'ended') this.starts.rest(record, isTransient)
  }

  /** What a start led to that did not end well: a run that has ended, or that was killed, or none. */
  private async outcomeOf(claim: Claim, record: OpenInterval): Promise<'ended' | 'killed' | 'none'> {
    const { metadata } = this.options
    // What kept the run from being begun is not the interval's fault: it waits until that is mended.
    if (await metadata.intervals.letGo(claim)) return 'none'
    const now = await metadata.intervals.find(claim.job, claim.start)
    if (now?.state !== 'RUNNING' || now.try !== claim.fence) return 'ended'
    const run = await metadata.run(now.run!)
    return now.run === record.run && run?.attempt === record.attempt ? 'none' : 'killed'
  }

  private async giveUp(
    { job: name, run, owner, interval_start: start, interval_end, attempt }: OpenInterval,
    job: ScheduledJob,
  ): Promise<void> {
    const { metadata, owner: me, log } = this.options
    const record = await metadata.takeOver({ run: run!, owner: owner! }, me, !isAlive(owner!))
    if (!record) return
    const error = new EngineError(
      'RESOURCE_EXHAUSTED',
      `${name}: run ${run} was killed ${counted(attempt ?? 0, 'time')}`,
      {
        hint: 'Look for what ends it (memory, most often) before it is begun again.',
      },
    )
    log.error({ job: name, run }, error.message)
    await metadata.endRun({
      run: record.run,
      fence: record.fence,
      job: name,
      status: 'FAILED',
      runAt: interval_end,
      records: 0,
      seconds: 0,
      error,
      syncPoints: [],
    })
    const isBegun = (await metadata.tasks(record.run)).some(({ status }) => status === 'SUCCESS')
    const interval = { start, isPlanned: job.cron !== undefined }
    void this.options.alerts?.gaveUp(job, { run: record.run, isBegun, interval }, error)
  }
}

const triggerOf = ({ cron, files, follow }: ScheduledJob) =>
  cron ? 'schedule' : files || follow ? 'event' : 'after'

function countBy(intervals: { job: string }[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { job } of intervals) counts.set(job, (counts.get(job) ?? 0) + 1)
  return counts
}
