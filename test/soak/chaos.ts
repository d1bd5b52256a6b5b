import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import type { RunningServer } from '../../src/demo/servers/process.ts'
import { randomOf } from '../random.ts'
import type { Hooks } from '../servers.ts'
import { layTrial, NIGHTS, nightOf, nightsOf, runsOf, type Trial } from './night.ts'
import { damagedKinds, type Upset } from './upsets.ts'

export interface Chaos {
  /** How many trials; the upsets come in turn. */
  trials: number
  /** The number of the first: those before it were done. */
  from?: number
  upsets: readonly Upset[]
  /** Trials at a time, each with a server of its own for metadata stores. */
  parallel: number
  /** It and a trial's number give all that is drawn for that trial. */
  seed: number
  say: (line: string) => void
  /** For each trial, what makes and cleans what it needs. */
  hooks: () => { hooks: Hooks; clean(): Promise<void> }
}

/**
 * Disturbs nights, each of which must end by itself, and be mended by one command. Gives what was not so, and says each trial
 * in a line.
 */
export async function chaos({
  trials,
  from = 0,
  upsets,
  parallel,
  seed,
  say,
  hooks,
}: Chaos): Promise<string[]> {
  const failures: string[] = []
  const all = hooks()
  const undisturbed = await layTrial(all.hooks)
  const expected = await nightsOf(undisturbed, undefined, () => nightOf(undisturbed, NIGHTS[0]))
  // What is compiled is kept: from here on, a night takes what it takes.
  const { took, active } = await spanOf(await layTrial(all.hooks))
  say(`a night takes ${Math.round(took)} ms, its run ${Math.round(active)}; seed ${seed}`)
  const counts = new Map(upsets.map(({ name }) => [name, { trials: 0, inTime: 0, failed: 0 }]))
  let next = from
  const lane = async () => {
    const store = await storeServer(all.hooks)
    while (next < from + trials) {
      const number = next++
      const { name, disturb } = upsets[number % upsets.length]!
      const count = counts.get(name)!
      count.trials++
      const own = hooks()
      const random = randomOf(Math.imul(seed, 0x9e3779b1) + number)
      const failed = (error: unknown) => {
        count.failed++
        const failure = `${number} ${name}: ${(error as Error).message}`
        failures.push(failure)
        say(`FAILED  ${failure.slice(0, 6000)}`)
      }
      try {
        const { trial, act } = await disturb(own.hooks, { store, took, active, random })
        let isUpset = false
        await nightsOf(trial, expected, async () => {
          isUpset = await act()
        })
        if (isUpset) count.inTime++
        say(`${isUpset ? 'mended ' : 'in vain'} ${number} ${name}`)
      } catch (error) {
        failed(error)
      } finally {
        await own.clean().catch(failed)
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  await all.clean()
  for (const [name, { trials, inTime, failed }] of counts)
    say(`${name}: ${trials} nights, ${inTime} upset in time, ${failed} failed`)
  for (const [kind, times] of damagedKinds()) say(`${String(times).padStart(4)}  ${kind}`)
  return failures
}

/** A Postgres for metadata stores alone. */
async function storeServer(hooks: Hooks): Promise<RunningServer> {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-chaos-store-'))
  const store = await startPostgres({ dir })
  hooks.after(async () => {
    await store.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  return store
}

/** Milliseconds that an undisturbed night takes, and for which its run is under way. */
async function spanOf(trial: Trial): Promise<{ took: number; active: number }> {
  let isOver = false
  const began = performance.now()
  const night = nightOf(trial, NIGHTS[0]).finally(() => {
    isOver = true
  })
  let active = 0
  while (!isOver) {
    const looked = performance.now()
    const isActive = (await runsOf(trial)).length > 0
    await delay(20)
    if (isActive) active += performance.now() - looked
  }
  await night
  return { took: performance.now() - began, active }
}
