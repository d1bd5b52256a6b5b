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

/** What came of it: seconds, seconds that cores worked, and how busy each kind of thing was at the most, 0 to 1. */
export interface Outcome {
  seconds: number
  cores: number
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

/** What happens when, in the order of its time. */
class Events {
  private readonly waiting: { at: number; act: (at: number) => void }[] = []

  at(at: number, act: (at: number) => void): void {
    let [low, high] = [0, this.waiting.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.waiting[middle]!.at > at) low = middle + 1
      else high = middle
    }
    this.waiting.splice(low, 0, { at, act })
  }

  /** Until nothing more happens. */
  run(): void {
    for (let next = this.waiting.pop(); next; next = this.waiting.pop()) next.act(next.at)
  }
}

/** Steps of a job on Airflow: check, plan, extract, models, load, finish. */
const STEPS = 6

/** Plays a night, part by part. */
export function play(night: Night, costs: Costs): Outcome {
  const { rows, jobs, workers, targets, changed, airflow = false, isOneMachine = false } = night
  const cores = night.cores ?? ASSUMED.cores
  const pools = (count: number) => Array.from({ length: count }, () => new Pool(cores))
  const machines = pools(workers)
  const sources = isOneMachine ? machines : pools(jobs)
  const served = isOneMachine ? machines : pools(targets)
  const links = Array.from({ length: workers }, () => new Pool(1))
  const store = new Pool(1)
  const scheduler = new Pool(1)
  const events = new Events()
  const bits = (count: number) => (isOneMachine ? 0 : (count * ASSUMED.wire * 8) / ASSUMED.network)
  const own = rows / jobs
  const parts = Math.max(1, Math.ceil(own / ASSUMED.part))
  const loaded = changed === undefined ? own : own * changed
  const write = targets === 0 ? costs.stage : changed === undefined ? costs.copy : costs.merge
  let begun = 0
  let seconds = 0

  /** One job after the other, as long as there are some. */
  const work = (worker: number, from: number): void => {
    if (begun === jobs) return
    const number = begun++
    const [machine, link] = [machines[worker]!, links[worker]!]
    const source = sources[number % sources.length]!
    const target = targets > 0 ? served[number % served.length]! : machine
    const step = (now: number, next: (now: number) => void) =>
      events.at(now, () => {
        const started = airflow ? scheduler.take(now, 1 / ASSUMED.starts) : now
        events.at(started, () => events.at(machine.take(started, costs.step), next))
      })
    /** Work that all cores of a machine share, and what is sent for it. */
    const spread = (pool: Pool, now: number, each: number, sent: number, next: (now: number) => void) =>
      events.at(now, () => {
        const ends = Array.from({ length: cores }, () => pool.take(now, each / cores))
        events.at(Math.max(...ends, link.take(now, bits(sent))), next)
      })
    // One process does all where Airflow starts no steps.
    const before = (now: number, left: number): void =>
      left === 0 ? extract(now) : step(now, then => before(then, left - 1))
    const extract = (now: number): void => {
      let [left, going] = [parts, cores]
      const lane = (at: number): void => {
        if (left === 0) {
          if (--going === 0) compare(at)
          return
        }
        left--
        const part = own / parts
        // Rows are read, sent and staged while they come.
        const staged = Math.max(
          source.take(at, part * costs.read),
          link.take(at, bits(part)),
          machine.take(at, part * costs.stage),
        )
        events.at(staged, () => events.at(store.take(staged, costs.commit), lane))
      }
      for (let n = 0; n < cores; n++) events.at(now, lane)
    }
    const compare = (now: number): void =>
      changed === undefined ? load(now) : spread(machine, now, own * costs.compare, 0, load)
    const load = (now: number): void =>
      spread(target, now, loaded * write, loaded, then => {
        const end = store.take(then, STEPS * costs.commit)
        seconds = Math.max(seconds, end)
        events.at(end, () => work(worker, end))
      })
    before(from, airflow ? STEPS : 1)
  }
  for (let worker = 0; worker < workers; worker++) events.at(0, () => work(worker, 0))
  events.run()
  const most = (all: Pool[]) => Math.max(0, ...all.map(pool => pool.share(seconds)))
  const all = new Set([...sources, ...machines, ...served])
  return {
    seconds,
    cores: [...all].reduce((sum, { worked }) => sum + worked, 0),
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
