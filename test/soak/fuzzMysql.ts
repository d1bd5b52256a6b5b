/** `npm run soak:fuzz:mysql`: five million mutated answers; see mutate. */
import { mutate } from '../connectors/mysqlMutate.ts'

const EACH = 100_000
const total = { refused: 0, over: 0, waiting: 0 }
const began = performance.now()
for (let seed = 1000; seed < 1050; seed++) {
  const seen = mutate(seed, EACH)
  for (const key of ['refused', 'over', 'waiting'] as const) total[key] += seen[key]
}
console.log(`${((performance.now() - began) / 1000).toFixed(0)} s: ${JSON.stringify(total)}`)
