/**
 * `npm run bench:paper [-- check]`: how the time and the cost of a night grow with rows and workers, to 100 billion rows, played
 * part by part with what the committed reports have measured. With `check`, nights of a small table are run by the command line,
 * too, and put beside what is played for this machine; the exit code is 1 where
 * CPU time is off by a factor of two (others may use the machine, too).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../src/demo/servers/postgres.ts'
import { freshPostgres } from '../test/servers.ts'
import { fillLineitem } from './lineitem.ts'
import { cleanUps, cpuOf, machine, table } from './measure.ts'
import { type Kind, type Night, play } from './paper/model.ts'
import { ASSUMED, costs } from './paper/parameters.ts'

const known = costs()
const WORKERS = [1, 4, 16, 64]
const BOUND = 2
const NAMES: Record<Kind, string> = {
  source: 'sources',
  network: 'network',
  worker: "workers' cores",
  metadata: 'metadata store',
  scheduler: 'scheduler',
  target: 'target',
}

const span = (seconds: number) =>
  seconds < 120
    ? `${seconds.toFixed(0)} s`
    : seconds < 7200
      ? `${(seconds / 60).toFixed(0)} min`
      : `${(seconds / 3600).toFixed(1)} h`
const many = (rows: number) => (rows >= 1e9 ? `${rows / 1e9} billion` : `${rows / 1e6} million`)

function limitOf(night: Night): string {
  const { seconds, busy } = play(night, known)
  const [kind, share] = (Object.entries(busy) as [Kind, number][]).reduce((a, b) => (b[1] > a[1] ? b : a))
  return `${span(seconds)} (${NAMES[kind]}, ${(share * 100).toFixed(0)} %)`
}

const micro = (seconds: number) => `${(seconds * 1e6).toFixed(2)} µs`
console.log(`Seconds of a core, of the reports: a row read ${micro(known.read)}, staged ${micro(known.stage)}, compared ${micro(known.compare)}, merged ${micro(known.merge)}, copied ${micro(known.copy)}; a commit ${(known.commit * 1000).toFixed(2)} ms, a step ${known.step} s.
Assumed: ${ASSUMED.wire} bytes a row on the wire, ${ASSUMED.network / 1e9} Gbit/s and ${ASSUMED.cores} cores a machine, parts of ${ASSUMED.part.toLocaleString('en')} rows, ${ASSUMED.starts} starts of steps a second by Airflow, $${ASSUMED.coreHour} a core and hour.\n`)

const SIZES = [1e7, 1e9, 1e10, 1e11]
const NIGHTS: Record<string, (rows: number, workers: number) => Night> = {
  'One source and one target, 1 % changed': (rows, workers) => ({
    rows,
    workers,
    jobs: 1,
    targets: 1,
    changed: 0.01,
  }),
  '64 sources, one target, 1 % changed': (rows, workers) => ({
    rows,
    workers,
    jobs: 64,
    targets: 1,
    changed: 0.01,
    airflow: true,
  }),
  '64 sources, 16 targets, 1 % changed': (rows, workers) => ({
    rows,
    workers,
    jobs: 64,
    targets: 16,
    changed: 0.01,
    airflow: true,
  }),
  '64 sources, a lake, 1 % changed': (rows, workers) => ({
    rows,
    workers,
    jobs: 64,
    targets: 0,
    changed: 0.01,
    airflow: true,
  }),
  '64 sources, a lake, first load': (rows, workers) => ({
    rows,
    workers,
    jobs: 64,
    targets: 0,
    airflow: true,
  }),
}
for (const [name, night] of Object.entries(NIGHTS)) {
  console.log(`${name}: how long, and what is busiest\n`)
  console.log(
    table(
      ['rows a night', ...WORKERS.map(n => `${n} ${n === 1 ? 'worker' : 'workers'}`), 'cost of 16'],
      SIZES.map(rows => [
        many(rows),
        ...WORKERS.map(workers => limitOf(night(rows, workers))),
        `$${((play(night(rows, 16), known).seconds / 3600) * 16 * ASSUMED.cores * ASSUMED.coreHour).toFixed(2)}`,
      ]),
    ),
  )
  console.log()
}
if (process.argv[2] === 'check') await check()

/** Nights of a small table on this machine, beside what is played for it. */
async function check(): Promise<void> {
  await using clean = cleanUps()
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-paper-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const server = await startPostgres({ dir })
  clean.after(() => server.stop())
  process.env.TEST_POSTGRES_URL = server.url
  const found: (string | number)[][] = []
  let worst = 1
  for (const rows of [1e6, 3e6]) {
    const [source, target] = [await freshPostgres(clean), await freshPostgres(clean)]
    await fillLineitem(source, 'postgres', rows)
    const [place] = await source.query<{ data_directory: string }>('SHOW data_directory')
    const postmaster = Number(
      readFileSync(join(place!.data_directory, 'postmaster.pid'), 'utf8').split('\n')[0],
    )
    const folder = join(dir, `job${rows}`)
    mkdirSync(folder)
    writeFileSync(
      join(folder, 'job.yaml'),
      `job: paper
connections: { source: "${source.url}", warehouse: "${target.url}" }
extract: { lineitem: { from: source, table: lineitem } }
load: { lineitem: { to: warehouse, from: lineitem, key: [l_orderkey, l_linenumber], deletes: hard } }
`,
    )
    for (const changed of [undefined, 0, 0.05]) {
      if (changed)
        await source.query(
          `UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE l_orderkey % 100 < ${changed * 100}`,
        )
      await source.query('VACUUM ANALYZE lineitem')
      const took = await run(folder, join(dir, `home${rows}`), postmaster)
      const one = { rows, jobs: 1, workers: 1, targets: 1, cores: cpus().length, isOneMachine: true }
      const played = play({ ...one, ...(changed !== undefined && { changed }) }, known)
      const ratio = took.cores / played.cores
      worst = Math.max(worst, ratio, 1 / ratio)
      found.push([
        many(rows),
        changed === undefined ? 'first load' : `${changed * 100} % changed`,
        ...[played, took].flatMap(({ seconds, cores }) => [
          `${seconds.toFixed(1)} s`,
          `${cores.toFixed(1)} s`,
        ]),
        ratio.toFixed(2),
      ])
    }
  }
  console.log(`${machine()}: played and run\n`)
  console.log(table(['rows', 'night', 'played', 'CPU', 'run', 'CPU', 'CPU, run / played'], found))
  if (worst > BOUND) process.exitCode = 1
}

/** A run by the command line: its seconds, and the CPU seconds of it and of the server meanwhile. */
async function run(folder: string, home: string, postmaster: number) {
  const used = () => cpuOf(process.pid, true) - cpuOf(process.pid, false) + cpuOf(postmaster, true)
  const [began, before] = [performance.now(), used()]
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), 'run', folder], {
    env: { ...process.env, NIGHTFREIGHT_HOME: home },
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the run ended with ${code}`)
  return { seconds: (performance.now() - began) / 1000, cores: used() - before }
}
