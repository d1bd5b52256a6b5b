/** `npm run soak:fuzz:postgres [-- runs [seed]]`: mutated COPY streams through the decoder; 5 million by default. */
import { fuzz, recordings } from '../connectors/postgres/fuzz.ts'
import { freshPostgres } from '../servers.ts'

const [runs = 5_000_000, seed = Date.now() & 0x7fffffff] = process.argv.slice(2).map(Number)
const cleaners: (() => Promise<void>)[] = []
try {
  const recorded = await recordings(await freshPostgres({ after: clean => void cleaners.push(clean) }))
  const started = performance.now()
  const { decoded, refused } = fuzz(recorded, runs, seed)
  const seconds = (performance.now() - started) / 1000
  const { rss } = process.memoryUsage()
  console.log(
    `seed ${seed}: ${refused} refused with a typed error, ${decoded} decoded; ${seconds.toFixed(1)} s, ${rss >> 20} MiB`,
  )
} finally {
  for (const clean of cleaners) await clean()
}
