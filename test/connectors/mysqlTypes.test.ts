import { describe, it } from 'node:test'
import { freshMariadb } from '../servers.ts'
import { CASES, compareType } from './mysqlTypes.ts'

describe('mysql types, 10,000 values each', async () => {
  const db = await freshMariadb()
  for (const [index, { native, policy }] of CASES.entries())
    it(policy ? `${native} as ${policy}` : native, () =>
      compareType(db, index, Number(process.env.SOAK_ROWS ?? 10_000)),
    )
})
