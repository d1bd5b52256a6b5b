import { join } from 'node:path'
import type { Contender } from './contenders.ts'
import type { Sums } from './data.ts'
import { type Measured, measured } from './measure.ts'

/** A workload with everything in place: who does it, and what is to come of it. */
export interface Race {
  name: string
  title: string
  /** What a reader of its figures has to know, as a sentence. */
  about?: string
  /** What is made of all runs, as sentences. */
  conclude?(standings: Standing[]): string
  contenders: Contender[]
  /** The tool that others are measured by: it checks nothing, and is no peer. */
  reference: string
  /** Processes of the servers that are used. */
  servers: number[]
  /** Before all rounds: what a contender does first, not measured. */
  before?(contender: Contender): Promise<void>
  /** Before a round of all contenders: what changes at the source. */
  round?(number: number): Promise<void>
  /** After a contender's run; undefined where there is nothing to check. */
  result(contender: Contender): Promise<Sums | undefined>
  /** What is to come of it, asked before each round. */
  expected(): Promise<Sums>
  /** Away with what a run left. */
  clear?(contender: Contender): Promise<void>
}

/** What became of a contender: its runs, and why they do not count where they do not. */
export interface Standing {
  tool: string
  note?: string
  runs: Measured[]
  /** What each run says of its own parts, in seconds. */
  phases?: Record<string, number>[]
  /** A wrong result, with the difference, or how the tool failed. */
  wrong?: string
}

export interface Result {
  name: string
  title: string
  about?: string
  reference: string
  standings: Standing[]
}

/** A result, and what it was measured with. */
export interface Measurement extends Result {
  date: string
  versions: string[]
  rows: number
  rounds: number
}

/** Runs all contenders in turns, A B C A B C, so that each sees the same machine; a run counts once its result is right. */
export async function race(race: Race, rounds: number): Promise<Result> {
  const standings = race.contenders.map(
    ({ tool, note }): Standing => ({ tool, ...(note && { note }), runs: [] }),
  )
  for (let round = 0; round < rounds; round++) {
    if (round === 0)
      for (const [index, contender] of race.contenders.entries())
        try {
          await race.before?.(contender)
        } catch (error) {
          standings[index]!.wrong = `failed: ${masked((error as Error).message, contender)}`
          console.error(`${race.name}: ${contender.tool}: ${standings[index]!.wrong}`)
        }
    await race.round?.(round)
    const expected = await race.expected()
    for (const [index, contender] of race.contenders.entries()) {
      const standing = standings[index]!
      if (standing.wrong) continue
      try {
        await contender.prepare?.()
        const took = await measured(contender.command, contender.env, race.servers)
        const found = await race.result(contender)
        const difference = found && differenceOf(found, expected)
        if (difference) standing.wrong = difference
        else standing.runs.push(took)
        if (!difference && contender.phases)
          standing.phases = [...(standing.phases ?? []), await contender.phases()]
        console.error(
          `${race.name}: ${contender.tool}: ${difference ?? `${took.seconds.toFixed(1)} s, client ${took.clientCpu.toFixed(1)} s, servers ${took.serverCpu.toFixed(1)} s, ${(took.peak / 1e6).toFixed(0)} MB`}`,
        )
      } catch (error) {
        standing.wrong = `failed: ${masked((error as Error).message, contender)}`
        console.error(`${race.name}: ${contender.tool}: ${standing.wrong}`)
      } finally {
        await race.clear?.(contender)
      }
    }
  }
  const { name, title, reference } = race
  const about = [race.about, race.conclude?.(standings)].filter(text => text).join('\n\n')
  return { name, title, ...(about && { about }), reference, standings }
}

function differenceOf(found: Sums, expected: Sums): string | undefined {
  const wrong: string[] = []
  for (const [table, { rows, sum }] of Object.entries(expected)) {
    const own = found[table]
    if (own?.rows !== rows) wrong.push(`${table} has ${own?.rows ?? 'no'} rows instead of ${rows}`)
    else if (own.sum !== sum) wrong.push(`${table} has as many rows, and values that differ`)
  }
  return wrong.length === 0 ? undefined : `wrong: ${wrong.join('; ')}`
}

const ROOT = join(import.meta.dirname, '../..')

/** Tools print the URLs that they were given, and our own scripts where they are. */
export const masked = (text: string, { env }: Contender) =>
  Object.values(env)
    .filter(value => value.length > 7)
    .reduce((rest, value) => rest.replaceAll(value, '…'), text)
    .replaceAll(/:\/\/[^@\s]*@/g, '://…@')
    .replaceAll(`${ROOT}/`, '')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal
    .replaceAll(/\u001b\[\d*m/g, '')
    .trim()
    .split('\n')
    .slice(-3)
    .join(' ')
    .slice(0, 300)
