import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { putProgram } from '../program.ts'

const ROOT = join(import.meta.dirname, '../..')
const place = mkdtempSync(join(tmpdir(), 'nightfreight-guide-'))
after(() => rmSync(place, { recursive: true, force: true }))

const blocks = [...readFileSync(join(ROOT, 'docs/analyst.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)].map(
  match => match[1]!,
)

function type(script: string): string {
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-e', '-c', script], {
    cwd: place,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${join(place, 'bin')}:${process.env.PATH}`,
      NIGHTFREIGHT_HOME: join(place, 'home'),
      METADATA_URL: '',
    },
  })
  assert.equal(status, 0, `${script}\n${stdout}${stderr}`)
  return stdout
}

/** What is to be seen of each block. */
const SEEN: RegExp[] = [
  /^$/,
  /shop is valid: 2 extracts, 2 models \(paid, revenue\)/,
  /\+ 2 to insert[\s\S]*revenue: 2 rows[\s\S]*DECIMAL\(12,2\)[\s\S]*paid: 1 row[\s\S]*paid +3/,
  /4 checks[\s\S]*paid: 2 rows/,
  /islands +112\.49[\s\S]*by_region: 1 row/,
  /wrote .*revenue\.csv: 1 row\n[\s\S]*customer_id,name,country,orders,revenue\n10,Ada,GB,1,5\.00\n[\s\S]*1 of 1 case as expected/,
  /made of\n {2}revenue\.revenue[\s\S]*orders\.amount[\s\S]*rows decided by\n {2}revenue [^\n]*customer_id[^\n]*\n {2}paid [^\n]*orders\.status[^\n]*between[^\n]* rejects\n[\s\S]*fails +paid\.sql:2:31/,
  /revenue +1 +1 +0[\s\S]*new columns: largest[\s\S]*1 of 1 case as expected[\s\S]*### Plan of shop[\s\S]*ADD COLUMN/,
  /(SUCCESS|COMPLETED_WITH_ERRORS)[\s\S]*8 pages: pages\/index\.html/,
  /environment dev: plan [\s\S]*as production has staged it[\s\S]*environment dev: COMPLETED_WITH_ERRORS[\s\S]*revenue +1 +1 [\s\S]*shop +\S+ +COMPLETED_WITH_ERRORS/,
  /shop is valid: [\s\S]*customer_id +name +country +orders +revenue +largest +country_name\n[\s\S]*GB +2 +112\.49 +99\.99 +United Kingdom/,
]

test('each command of the analyst’s guide does what the guide says', async t => {
  putProgram(join(place, 'bin'))
  assert.equal(blocks.length, SEEN.length)
  for (const [index, block] of blocks.entries())
    await t.test(block.trim().split('\n').at(-1)!, () => assert.match(type(block), SEEN[index]!))
})
