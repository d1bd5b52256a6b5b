/**
 * `npm run bench:peers -- [--scale 1] [--runs 5] [--only mariadb-postgres,night] [--out benchmarks/results]`: the same work by
 * Nightfreight and by the tools that people compare it with, each installed into an environment of its own. Writes JSON,
 * Markdown and charts. Scale 1 is six million rows. Linux.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureMariadb } from '../test/mariadb.ts'
import { cleanUps, machine } from './measure.ts'
import { generate, sql } from './peers/data.ts'
import { openGround } from './peers/ground.ts'
import { race } from './peers/race.ts'
import { earlierResults, today, writeReport, writeTypes } from './peers/report.ts'
import { types } from './peers/types.ts'
import { WORKLOADS } from './peers/workloads.ts'

const names = [...Object.keys(WORKLOADS), 'types']
const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: names.join(',') },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
  },
})
const wanted = values.only.split(',')
const unknown = wanted.filter(name => !names.includes(name))
const [scale, rounds] = [Number(values.scale), Number(values.runs)]
if (unknown.length > 0 || !(scale > 0) || !(rounds >= 1)) {
  console.error(`--scale and --runs are numbers; --only takes ${names.join(', ')}`)
  process.exit(2)
}

const clean = cleanUps()
try {
  await ensureMariadb()
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'nightfreight-bench')
  const files = generate(join(cache, `tpch-${scale}`), scale)
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-peers-'))
  clean.after(async () => rmSync(dir, { recursive: true, force: true }))
  const ground = await openGround(dir, files, clean)
  const [{ version, rows }] = (await sql(
    ground.postgres.source,
    "SELECT current_setting('server_version') AS version, count(*) AS rows FROM lineitem",
  )) as [{ version: string; rows: string }]
  const versions = [
    `nightfreight ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: import.meta.dirname }).trim()}`,
    `Postgres ${version}`,
    execFileSync('mariadb', ['--version'], { encoding: 'utf8' }).trim(),
  ]
  const results = earlierResults(values.out, machine())
  for (const name of wanted)
    if (name === 'types') writeTypes(values.out, machine(), versions, await types(ground))
    else {
      const result = await race(await WORKLOADS[name]!(ground), rounds)
      const known = results.findIndex(earlier => earlier.name === name)
      if (known >= 0) results.splice(known, 1)
      results.push({ ...result, date: today(), versions, rows: Number(rows), rounds })
      results.sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
      // What is measured is kept, whatever becomes of the rest.
      writeReport(values.out, { machine: machine(), results })
    }
  console.error(`written: ${join(values.out, 'peers.md')}`)
} finally {
  await clean.run()
}
