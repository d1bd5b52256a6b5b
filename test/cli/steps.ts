import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync } from 'node:child_process'
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
  leaves?: () => void | Promise<void>
}

/** What an analyst types, in a folder with the job `queries/members`. */
export const workbenchSteps = (
  place: string,
  good: (line: string) => Promise<string>,
): Record<string, Step> => ({
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
    says: /wrote .*members_clean\.csv: \d+ rows?\n/,
    leaves: () =>
      assert.equal(
        readFileSync(join(place, 'queries/members/tests/cases/first/expected/findings.csv'), 'utf8'),
        'check_name,record,severity,reason\nname_missing,2,reject,no name\n',
      ),
  },
  'nightfreight test queries/members': { says: /^ok {4}first .*\n.*1 of 1 case as expected/ },
  'nightfreight show queries/members members_clean': {
    // A plan reads, and loads nothing.
    first: async () => {
      await good('nightfreight plan queries/members')
      return {}
    },
    says: /member_id {2}first_name\n.*\n +\d[\s\S]*members_clean: 49 rows, 20 shown/,
  },
  'nightfreight show queries/members members_clean --where "member_id < 10" --limit 5': {
    says: /members_clean: 8 rows, 5 shown/,
  },
  'nightfreight show queries/members members_clean --profile': {
    says: /first_name +VARCHAR +0 % +49 +name 1 +name 9/,
  },
  'nightfreight show queries/members members_clean --diff': { says: /~ 0 changed .* 49 unchanged/ },
  'nightfreight shell queries/members -c "SELECT count(*) AS members FROM members_clean"': {
    says: /^members\n─+\n +49\n1 row\n/,
  },
  'nightfreight export queries/members > night.sql': {
    says: /^$/,
    leaves: () =>
      assert.match(
        readFileSync(join(place, 'night.sql'), 'utf8'),
        /CREATE OR REPLACE VIEW "members_clean" AS/,
      ),
  },
  'nightfreight docs queries/members': { says: /^\d+ pages: project-docs\/index\.html/ },
  'nightfreight docs queries --out public/data': { says: /^\d+ pages: public\/data\/index\.html/ },
  'nightfreight lineage queries/members': {
    says: /^members +read from [\s\S]*warehouse\.dim_members +members_clean/,
  },
  'nightfreight lineage queries/members members_clean': { says: /first_name +VARCHAR +members\.first_name/ },
  'nightfreight lineage queries/members members.first_name': {
    says: /used by\n {2}members_clean\.first_name[\s\S]*checks\/members_clean\/name_missing\.sql/,
  },
  'nightfreight lineage queries warehouse.dim_members.first_name --json': {
    says: /^\{"table":"member_data_warehouse_sync\/warehouse\.dim_members","column":"first_name"/,
  },
  'nightfreight plan queries/members --compare main --markdown': {
    first: async () => {
      const git = (...args: string[]) =>
        execFileSync('git', ['-C', place, '-c', 'user.name=a', '-c', 'user.email=a@x.org', ...args])
      git('init', '--quiet', '--initial-branch=main')
      git('add', 'queries')
      git('commit', '--quiet', '-m', 'first')
      return {}
    },
    says: /^### Models of `member\w+` beside `main`\n\nNo row differs\./,
  },
  'nightfreight plan queries/members --markdown --exit-code > plan.md': {
    code: 10,
    // A machine that is busy says how far it is.
    says: /^(\d+s, .*\n|[\w.]+: started\n)*$|extract\.members/,
    leaves: () =>
      assert.match(
        readFileSync(join(place, 'plan.md'), 'utf8'),
        /1 of 1 table would change\.[\s\S]*\| \+ \| member_id = \d+ \|/,
      ),
  },
})

interface Means {
  /** What stands in examples for a run's id, and the job's name. */
  run: string
  job: string
  good: (line: string) => Promise<string>
  /** Asks the source. */
  query: (sql: string) => Promise<unknown>
}

/** What is typed about the one row that has no name. */
export const errorSteps = (place: string, { run, job, good, query }: Means): Record<string, Step> => ({
  'nightfreight errors list': { says: /members_clean {2}key 7 {2}open {2}no name\n\n +1 {2}.*name_missing/ },
  'nightfreight errors list --table members_clean --reason name': { says: /key 7/ },
  'nightfreight errors list --key 20412 --state all': { says: /No error records/ },
  [`nightfreight errors list --run ${run} --json`]: {
    first: async () => {
      const { records } = JSON.parse(await good('nightfreight errors list --json'))
      return { [run]: records[0].run }
    },
    says: /"reason":"no name"/,
  },
  'nightfreight errors show 0f343b0931126a20f133d67c2b018a3b': {
    first: async () => {
      const { records } = JSON.parse(await good('nightfreight errors list --json'))
      return { '0f343b0931126a20f133d67c2b018a3b': records[0].id }
    },
    says: /"member_id": "7"/,
  },
  [`nightfreight errors reprocess ${job}`]: { says: /1 record joins the next run/ },
  [`nightfreight errors export ${job} members_clean --out bad.csv`]: {
    // The model as it is rejects the row again.
    first: async () => {
      await good('nightfreight run queries/members')
      return {}
    },
    says: /^$/,
    leaves: () => assert.match(readFileSync(join(place, 'bad.csv'), 'utf8'), /,no name,7,\n/),
  },
  [`nightfreight errors export ${job} members_clean --since 2026-02-01 --out bad.csv`]: {
    says: /^$/,
    leaves: () => assert.match(readFileSync(join(place, 'bad.csv'), 'utf8'), /,no name,7,\n/),
  },
  [`nightfreight errors reprocess ${job} --corrections bad.csv`]: {
    first: async () => {
      const csv = readFileSync(join(place, 'bad.csv'), 'utf8')
      writeFileSync(join(place, 'bad.csv'), csv.replace(',no name,7,', ',no name,7,Ada'))
      return {}
    },
    says: /1 record joins the next run/,
  },
  [`nightfreight errors reprocess ${job} --table members_clean --reason name`]: {
    says: /0 records join the next run/,
  },
  [`nightfreight errors discard ${job} 0f343b0931126a20f133d67c2b018a3b`]: {
    first: async () => {
      await query('UPDATE members SET first_name = NULL WHERE member_id = 8')
      await good('nightfreight run queries/members')
      const { records } = JSON.parse(await good('nightfreight errors list --key 8 --json'))
      return { '0f343b0931126a20f133d67c2b018a3b': records[0].id }
    },
    says: /^1 record is discarded/m,
  },
  [`nightfreight errors discard ${job} --table members_clean --reason name`]: {
    first: async () => {
      await query("UPDATE members SET first_name = 'Ada' WHERE member_id = 8")
      return {}
    },
    says: /^0 records are discarded/m,
  },
})
