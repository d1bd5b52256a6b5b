import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { write } from '../analyst/projects.ts'
import { type Contender, MAIN, type Place } from './contenders.ts'
import { intoPostgres } from './copies.ts'
import type { Ground } from './ground.ts'
import type { Race, Standing } from './race.ts'
import { median, middle } from './report.ts'

const CORES = [2, 8, 16, 64]
const MAIN_THREAD = 'CPU of the main thread'
const ALL_THREADS = 'CPU of all threads'

/** The same copy with one worker and with two: what of it is serial, and what more cores would give by Amdahl's law. */
export async function serial(ground: Ground): Promise<Race> {
  const race = await intoPostgres(
    ground,
    {
      name: 'serial',
      title: 'MariaDB to Postgres, a first copy with one worker and with two',
      source: ground.mariadb.source,
      reference: toolOf(1),
    },
    [workers(1), workers(2)],
  )
  return { ...race, conclude }
}

const toolOf = (threads: number) => `${threads} ${threads === 1 ? 'worker' : 'workers'}`

const workers =
  (threads: number) =>
  ({ source, target, home }: Place): Contender => {
    const file = join(home, 'threads.json')
    return {
      tool: toolOf(threads),
      command: `"$NODE" --import "${join(import.meta.dirname, 'mainThread.ts')}" "$MAIN" run "${home}"`,
      env: {
        NODE: process.execPath,
        MAIN,
        SOURCE: source,
        TARGET: target,
        NIGHTFREIGHT_HOME: join(home, '.home'),
        THREADS_FILE: file,
      },
      prepare: async () =>
        void write(home, {
          'job.yaml': `job: serial
connections: { source: "\${SOURCE}", target: "\${TARGET}" }
resources: { threads: ${threads} }
extract:
  lineitem: { from: source }
load:
  lineitem: { from: lineitem, to: target, mode: replace }`,
        }),
      phases: async () => {
        const { main, all } = JSON.parse(readFileSync(file, 'utf8')) as { main: number; all: number }
        return { [MAIN_THREAD]: main, [ALL_THREADS]: all }
      },
    }
  }

function conclude([one, two]: Standing[]): string {
  if (!one || !two || one.runs.length === 0 || two.runs.length === 0) return ''
  const [first, second] = [median(one.runs, 'seconds'), median(two.runs, 'seconds')]
  const phase = (name: string) => middle(two.phases!.map(each => each[name]!))
  const shares = {
    // Karp and Flatt: what the gain of two over one leaves as serial. The servers' work beside it counts as ours.
    'by the seconds of one and two workers': Math.min(1, Math.max(0, (2 * second) / first - 1)),
    "by the main thread's share of the CPU time": phase(MAIN_THREAD) / phase(ALL_THREADS),
  }
  const lines = Object.entries(shares).map(([how, share]) => {
    const gains = CORES.map(cores => `${cores} cores ${(1 / (share + (1 - share) / cores)).toFixed(1)}`)
    return `- ${how}: ${(share * 100).toFixed(0)} %; times as fast as one core: ${gains.join(', ')}`
  })
  return `What of it is serial, and what more cores would give by Amdahl's law, the servers' growing alike:\n\n${lines.join('\n')}`
}
