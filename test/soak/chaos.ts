import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '../../src/demo/servers/postgres.ts'
import { randomOf } from '../random.ts'
import type { Hooks } from '../servers.ts'
import { layTrial, NIGHTS, nightOf, nightsOf, runsOf } from './night.ts'
import { damagedKinds, type Stage, type Upset } from './upsets.ts'

export interface Chaos {
  /** How many trials; the upsets come in turn. */
  trials: number
  upsets: readonly Upset[]
  /** Trials at a time. */
  parallel: number
  seed: number
  say: (line: string) => void
  /** For each trial, what makes and cleans what it needs. */
  hooks: () => { hooks: Hooks; clean(): Promise<void> }
}

/**
 * Disturbs nights, each of which must end by itself, and be mended by one command. Gives what was not so, and says each trial
 * in a line.
 */
export async function chaos({ trials, upsets, parallel, seed, say, hooks }: Chaos): Promise<string[]> {
  const failures: string[] = []
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-chaos-store-'))
  const store = await startPostgres({ dir })
  const random = randomOf(seed)
  const all = hooks()
  const undisturbed = await layTrial(all.hooks)
  const expected = await nightsOf(undisturbed, undefined, () => nightOf(undisturbed, NIGHTS[0]))
  // What is compiled is kept: from here on, a night takes what it takes.
  const measured = await layTrial(all.hooks)
  let isOver = false
  const night = nightOf(measured, NIGHTS[0]).finally(() => {
    isOver = true
  })
  const began = performance.now()
  let active = 0
  while (!isOver) {
    const looked = performance.now()
    const isActive = (await runsOf(measured)).length > 0
    await delay(20)
    if (isActive) active += performance.now() - looked
  }
  await night
  const took = performance.now() - began
  say(`a night takes ${Math.round(took)} ms, its run ${Math.round(active)}; seed ${seed}`)
  const stage: Stage = { store, took, active, random }
  let next = 0
  let upsetInTime = 0
  const lane = async () => {
    while (next < trials) {
      const number = next++
      const upset = upsets[number % upsets.length]!
      const own = hooks()
      try {
        const { trial, act } = await upset.disturb(own.hooks, stage)
        let isUpset = false
        await nightsOf(trial, expected, async () => {
          isUpset = await act()
        })
        if (isUpset) upsetInTime++
        say(`${isUpset ? 'mended ' : 'in vain'} ${number} ${upset.name}`)
      } catch (error) {
        failures.push(`${upset.name}: ${(error as Error).message}`)
        say(`FAILED  ${number} ${upset.name}: ${(error as Error).message.slice(0, 3000)}`)
      } finally {
        await own.clean()
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  say(`${trials} nights, ${upsetInTime} upset in time, ${failures.length} failures`)
  await all.clean()
  await store.stop()
  rmSync(dir, { recursive: true, force: true })
  for (const [kind, times] of damagedKinds()) say(`${String(times).padStart(4)}  ${kind}`)
  return failures
}
