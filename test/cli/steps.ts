import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** How a line ended, and what it printed. */
export interface Ended {
  code: number | null
  out: string
  err: string
}

/** An example, and what is to be seen of it. */
export interface Step {
  /** Default 0. */
  code?: number
  /** In what it prints. */
  says: RegExp
  /** Before it; gives what stands in the example's place of ids and other things that differ from home to home. */
  first?: () => Promise<Record<string, string>>
  /** While it goes on. */
  meanwhile?: (child: ChildProcess) => Promise<void>
  leaves?: () => void
}

/** What an analyst types, in a folder with the job `queries/members`. */
export const workbenchSteps = (place: string): Record<string, Step> => ({
  'nightfreight test queries/members first --write': {
    first: async () => {
      const folder = join(place, 'queries/members/tests')
      mkdirSync(join(folder, 'cases/first'), { recursive: true })
      writeFileSync(
        join(folder, 'tables.sql'),
        'CREATE TABLE members (member_id INTEGER, first_name VARCHAR);',
      )
      writeFileSync(join(folder, 'cases/first/members.csv'), 'member_id,first_name\n1,Ada\n2,\n')
      return {}
    },
    says: /wrote .*members_clean\.csv\n/,
    leaves: () =>
      assert.equal(
        readFileSync(join(place, 'queries/members/tests/cases/first/expected/findings.csv'), 'utf8'),
        'check_name,record,severity,reason\nname_missing,2,reject,no name\n',
      ),
  },
  'nightfreight test queries/members': { says: /^ok {4}first .*\n.*1 of 1 cases as expected/ },
})
