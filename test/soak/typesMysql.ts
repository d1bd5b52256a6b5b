/** `npm run soak:types:mysql`: the types test with 100,000 values each. */
import { describe, it } from 'node:test'
import { CASES, compareType } from '../connectors/mysqlTypes.ts'
import { freshMariadb } from '../servers.ts'

describe('mysql types, 100,000 values each', async () => {
  const db = await freshMariadb()
  for (const [index, { native, policy }] of CASES.entries())
    it(policy ? `${native} as ${policy}` : native, () => compareType(db, index, 100_000))
})
