import { ASSUMED, type Costs } from './parameters.ts'

/** A night: jobs of one source system, one table's rows and one target each, spread over workers. */
export interface Night {
  rows: number
  /** Jobs, each with a source's server of its own. */
  jobs: number
  workers: number
  /** Servers that are loaded; jobs take turns. 0: a lake, whose files the workers write. */
  targets: number
  /** Share of rows that changed; undefined: a first load. */
  changed?: number
  cores?: number
  /** Source, worker and target are one machine, as where the costs were measured. */
  isOneMachine?: boolean
  /** Whether Airflow starts steps; one process does all of them else. */
  airflow?: boolean
}

/** What came of it: seconds, seconds of cores of workers, and how busy each kind of thing was at the most, 0 to 1. */
export interface Outcome {
  seconds: number
  workerCores: number
  busy: Record<Kind, number>
}

export type Kind = 'source' | 'network' | 'worker' | 'metadata' | 'scheduler' | 'target'

/** Things of one kind that do one piece of work at a time each. */
class Pool {
  private readonly free: number[]
  worked = 0

  constructor(size: number) {
    this.free = Array.from({ length: size }, () => 0)
  }

  /** The end of work of so many seconds that may begin at a time. */
  take(at: number, seconds: number): number {
    let first = 0
    for (let n = 1; n < this.free.length; n++) if (this.free[n]! < this.free[first]!) first = n
    this.worked += seconds
    this.free[first] = Math.max(at, this.free[first]!) + seconds
    return this.free[first]!
  }

  share(seconds: number): number {
    return this.worked / (seconds * this.free.length)
  }
}

/** Steps of a job on Airflow: check, plan, extract, models, load, finish. */
const STEPS = 6

/** Plays a night, part by part. */
export function play(night: Night, costs: Costs): Outcome {
  const { rows, jobs, workers, targets, isOneMachine = false } = night
  const cores = night.cores ?? ASSUMED.cores
  const pools = (count: number) => Array.from({ length: count }, () => new Pool(cores))
  const machines = pools(workers)
  const sources = isOneMachine ? machines : pools(jobs)
  const served = isOneMachine ? machines : pools(targets)
  const links = Array.from({ length: workers }, () => new Pool(1))
  const store = new Pool(1)
  const scheduler = new Pool(1)
  const bits = (count: number) => (isOneMachine ? 0 : (count * ASSUMED.wire * 8) / ASSUMED.network)

  /** Acts at the times that it gives, until the job's end. */
  function* job(number: number, worker: number, begin: number): Generator<number, number> {
    const [machine, link] = [machines[worker]!, links[worker]!]
    const source = sources[number % sources.length]!
    const target = targets > 0 ? served[number % served.length]! : machine
    const own = rows / jobs
    const parts = Math.max(1, Math.ceil(own / ASSUMED.part))
    const part = own / parts
    const step = (at: number) =>
      machine.take(night.airflow ? scheduler.take(at, 1 / ASSUMED.starts) : at, costs.step)
    let now = begin
    // Whoever does all in one process pays for its beginning once.
    for (let n = 0; n < (night.airflow ? STEPS : 1); n++) now = step(now)
    yield now
    const lanes = new Array<number>(cores).fill(now)
    for (let n = 0; n < parts; n++) {
      const lane = lanes.indexOf(Math.min(...lanes))
      const at = lanes[lane]!
      yield at
      // Rows are read, sent and staged while they come.
      const staged = Math.max(
        source.take(at, part * costs.read),
        link.take(at, bits(part)),
        machine.take(at, part * costs.stage),
      )
      lanes[lane] = store.take(staged, costs.commit)
    }
    now = Math.max(...lanes)
    yield now
    const { changed } = night
    const slices = (pool: Pool, at: number, seconds: number) =>
      Math.max(...Array.from({ length: cores }, () => pool.take(at, seconds / cores)))
    if (changed !== undefined) {
      now = slices(machine, now, own * costs.compare)
      yield now
    }
    const loaded = changed === undefined ? own : own * changed
    // A lake writes whole files anew: what it costs is what staging costs.
    const each = targets === 0 ? costs.stage : changed === undefined ? costs.copy : costs.merge
    now = Math.max(slices(target, now, loaded * each), link.take(now, bits(loaded)))
    return store.take(now, STEPS * costs.commit)
  }

  const left = Array.from({ length: jobs }, (_, number) => number)
  const going: { next: number; worker: number; job: Generator<number, number> }[] = []
  const begin = (worker: number, at: number) => {
    const number = left.shift()
    if (number !== undefined) going.push({ next: at, worker, job: job(number, worker, at) })
  }
  for (let worker = 0; worker < workers; worker++) begin(worker, 0)
  let seconds = 0
  while (going.length > 0) {
    const first = going.reduce((a, b) => (b.next < a.next ? b : a))
    const { value, done } = first.job.next()
    first.next = value
    if (!done) continue
    going.splice(going.indexOf(first), 1)
    seconds = Math.max(seconds, value)
    begin(first.worker, value)
  }
  const most = (all: Pool[]) => Math.max(0, ...all.map(pool => pool.share(seconds)))
  return {
    seconds,
    workerCores: machines.reduce((sum, { worked }) => sum + worked, 0),
    busy: {
      source: most(sources),
      network: most(links),
      worker: most(machines),
      metadata: store.share(seconds),
      scheduler: scheduler.share(seconds),
      target: most(served),
    },
  }
}
