import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createDatabase } from '../../src/demo/servers/postgres.ts'
import type { RunningServer } from '../../src/demo/servers/process.ts'
import { setClock, wrongClock } from '../clock.ts'
import { judgingProxy, type Verdict } from '../proxy.ts'
import type { Hooks } from '../servers.ts'
import { layTrial, NIGHTS, nightly, nightOf, runsOf, type Trial, type } from './night.ts'

/** What a trial may lean on. */
export interface Stage {
  /** A server for the metadata stores of the trial alone: it is killed. */
  store: RunningServer
  /** Milliseconds that an undisturbed night takes here, and for which its run is under way. */
  took: number
  active: number
  /** From 0 to 1. */
  random: () => number
}

/** What may happen to a night. */
export interface Upset {
  name: string
  /** Lays a trial; `act` runs its first night, upset, and brings it to its end; gives whether that came in time to upset it. */
  disturb(hooks: Hooks, stage: Stage): Promise<{ trial: Trial; act: () => Promise<boolean> }>
}

/** A lease, and a little more. */
const LEASE_MS = 32_000
let stores = 0

const signal = (pids: number[], name: NodeJS.Signals) => {
  for (const pid of pids)
    try {
      process.kill(pid, name)
    } catch {
      // It has ended.
    }
}

/** Waits until some instant of a night's run; gives the process of it, where it is still under way. */
async function instant(trial: Trial, { took, active, random }: Stage): Promise<number[]> {
  for (const late = performance.now() + 3 * took; performance.now() < late; await delay(50))
    if ((await runsOf(trial)).length > 0) break
  await delay(random() * active * 0.7)
  return runsOf(trial)
}

/** Stopped for some seconds, and woken: its lease is its own still. */
const paused: Upset = {
  name: 'stopped and woken',
  async disturb(hooks, stage) {
    const trial = await layTrial(hooks)
    return {
      trial,
      act: async () => {
        const starter: number[] = []
        const night = nightOf(trial, NIGHTS[0], { begun: child => starter.push(child.pid!) })
        const run = await instant(trial, stage)
        // The run, whoever started it, or both.
        const pids = [...(stage.random() < 0.8 ? run : []), ...(stage.random() < 0.4 ? starter : [])]
        signal(pids, 'SIGSTOP')
        await delay(stage.random() * 8000)
        signal(pids, 'SIGCONT')
        assert.equal(await night, false, 'a pause is no failure')
        return run.length > 0 && pids.length > 0
      },
    }
  },
}

/** Stopped until its lease is over; a successor takes over, and it wakes while that one works. */
const takenOver: Upset = {
  name: 'stopped, taken over, and woken',
  async disturb(hooks, stage) {
    const trial = await layTrial(hooks)
    return {
      trial,
      act: async () => {
        const first = type(trial, nightly(trial, NIGHTS[0]))
        const pids = await instant(trial, stage)
        signal(pids, 'SIGSTOP')
        try {
          if (pids.length > 0) await delay(LEASE_MS)
          const second = type(trial, nightly(trial, NIGHTS[0]))
          await delay(stage.random() * stage.took)
          signal(pids, 'SIGCONT')
          const { code, output } = await second
          assert.equal(code, 0, `the successor: ${output}\nits predecessor: ${(await first).output}`)
        } finally {
          signal(pids, 'SIGCONT')
          await first
        }
        return pids.length > 0
      },
    }
  },
}

/** A trial whose metadata store is a Postgres of its own. */
async function storeTrial(
  hooks: Hooks,
  { store }: Stage,
  through?: () => Verdict | Promise<Verdict>,
): Promise<Trial> {
  const url = await createDatabase(store, `store_${process.pid}_${++stores}`)
  if (!through) return layTrial(hooks, { METADATA_URL: url })
  const proxy = await judgingProxy(url, through)
  hooks.after(() => proxy.close())
  return layTrial(hooks, { METADATA_URL: proxy.url })
}

/** The server of the store crashes, and recovers. */
const storeKilled: Upset = {
  name: 'the metadata store is killed',
  async disturb(hooks, stage) {
    const trial = await storeTrial(hooks, stage)
    return {
      trial,
      act: async () => {
        const night = nightOf(trial, NIGHTS[0])
        const run = await instant(trial, stage)
        crash(stage.store)
        await night
        return run.length > 0
      },
    }
  },
}

/** Kills a process of the server that it cannot go on without: it ends all sessions, and recovers. */
export function crash({ pid }: RunningServer): void {
  for (const stat of globSync('/proc/[0-9]*/stat')) {
    try {
      const text = readFileSync(stat, 'utf8')
      const [, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
      const own = Number(stat.split('/')[2])
      if (Number(parent) === pid && readFileSync(`/proc/${own}/cmdline`, 'utf8').includes('checkpointer'))
        process.kill(own, 'SIGKILL')
    } catch {
      // A process that has ended meanwhile.
    }
  }
}

/** The line to the store is cut, or falls silent, for so long. */
const storeAway = (seconds: number): Upset => ({
  name: `the metadata store is away for ${seconds} s`,
  async disturb(hooks, stage) {
    let isAway = false
    let back = Promise.resolve()
    const isSilent = stage.random() < 0.5
    const trial = await storeTrial(hooks, stage, async () => {
      if (!isAway) return 'pass'
      if (!isSilent) return 'cut'
      await back
      return 'pass'
    })
    return {
      trial,
      act: async () => {
        const upset = instant(trial, stage).then(async run => {
          isAway = true
          back = delay(seconds * 1000)
          await back
          isAway = false
          return run.length > 0
        })
        // Somebody looks when all is well again.
        await nightOf(trial, NIGHTS[0], { ready: () => upset.then(() => untilFree(trial)) })
        return upset
      },
    }
  },
})

/** Until no run is under way: one that lost its store ends before its lease does. */
async function untilFree(trial: Trial): Promise<void> {
  const lives = (pid: number) => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  for (const late = performance.now() + LEASE_MS; (await runsOf(trial)).some(lives); await delay(200))
    assert.ok(performance.now() < late, 'a run that has lost its store lives on')
}

const DAMAGES: Record<string, (file: string, random: () => number) => void> = {
  'cut in half': file => truncateSync(file, statSync(file).size >> 1),
  emptied: file => truncateSync(file, 0),
  removed: file => rmSync(file),
  altered(file, random) {
    const bytes = readFileSync(file)
    for (let flips = 0; flips < 4 && bytes.length > 0; flips++)
      bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8)
    writeFileSync(file, bytes)
  },
}

/** Kinds of files of the home: a name's shape, without ids, hashes and numbers. */
const kindOf = (file: string) =>
  file
    .replace(/[0-9]{8}T[0-9]+-[0-9a-f]+/g, 'RUN')
    .replace(/[0-9a-f]{8,}/g, 'ID')
    .replace(/\d+/g, 'N')

/** Kinds of files that were damaged so far: each comes before one comes twice. */
const damaged = new Map<string, number>()

/** A file of the home is damaged, after a night or after it was killed amid one. */
const damage: Upset = {
  name: 'a file is damaged',
  async disturb(hooks, stage) {
    const trial = await layTrial(hooks)
    const isKilled = stage.random() < 0.5
    const how = Object.keys(DAMAGES)[Math.floor(stage.random() * Object.keys(DAMAGES).length)]!
    return {
      trial,
      act: async () => {
        const first = type(trial, nightly(trial, NIGHTS[0]))
        if (isKilled) signal(await instant(trial, stage), 'SIGKILL')
        await first
        const files = readdirSync(trial.home, { recursive: true, withFileTypes: true })
          .filter(each => each.isFile())
          .map(each => join(each.parentPath, each.name))
        const rank = (file: string) => damaged.get(`${how} ${kindOf(file.slice(trial.home.length))}`) ?? 0
        const file = files.sort((a, b) => rank(a) - rank(b) || stage.random() - 0.5)[0]!
        const kind = `${how} ${kindOf(file.slice(trial.home.length))}`
        damaged.set(kind, (damaged.get(kind) ?? 0) + 1)
        DAMAGES[how]!(file, stage.random)
        await nightOf(trial, NIGHTS[0]).catch(error => {
          throw new Error(
            `${kind}${isKilled ? ', of a night that was killed' : ''}: ${(error as Error).message}`,
          )
        })
        return true
      },
    }
  },
}

/** The machine's clock is set back or forward amid a night, and right again after it. */
const clock: Upset = {
  name: 'the clock is set',
  async disturb(hooks, stage) {
    const plain = await layTrial(hooks)
    const file = join(plain.home, '..', 'clock')
    const trial = { ...plain, env: { ...plain.env, ...wrongClock(file, '+0') } }
    const steps = ['-2d', '-90', '-5', '+5', '+90', '+2d']
    return {
      trial,
      act: async () => {
        const night = nightOf(trial, NIGHTS[0])
        const run = await instant(trial, stage)
        setClock(file, steps[Math.floor(stage.random() * steps.length)]!)
        await delay(stage.random() * stage.took)
        setClock(file, '+0')
        await night
        return run.length > 0
      },
    }
  },
}

export const UPSETS: readonly Upset[] = [
  damage,
  paused,
  storeKilled,
  clock,
  takenOver,
  storeAway(5),
  damage,
  storeAway(60),
]
/** Those that take less than a minute. */
export const SHORT: readonly Upset[] = [
  damage,
  damage,
  damage,
  damage,
  paused,
  storeKilled,
  clock,
  clock,
  takenOver,
  storeAway(5),
]

/** How often each kind of file was damaged in each way. */
export const damagedKinds = (): [string, number][] => [...damaged].sort()
