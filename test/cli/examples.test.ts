/** Every example in the help of every command is run, as a person would type it, on one home whose nights follow each other. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { commandLine } from '../../src/cli/program.ts'
import { putProgram } from '../program.ts'
import { freshPostgres } from '../servers.ts'
import { commands, examplesIn, helpOf } from './help.ts'
import { followOrders } from './orders.ts'
import { type Ended, errorSteps, type Step, workbenchSteps } from './steps.ts'
import { WRONG } from './wrongLines.ts'

const RUN = '20260201T020000-4f1c9a'
const JOB = 'member_data_warehouse_sync'

const { url, query } = await freshPostgres()
const place = mkdtempSync(join(tmpdir(), 'nightfreight-examples-'))
const home = join(place, '.nightfreight')
after(() => rmSync(place, { recursive: true, force: true }))

before(async () => {
  // The demo's Postgres does not run as root.
  chmodSync(place, 0o755)
  await query(`CREATE TABLE members (member_id int PRIMARY KEY, first_name text);
    INSERT INTO members SELECT i, nullif('name ' || i, 'name 7') FROM generate_series(1, 50) AS i`)
  const job = join(place, 'queries/members')
  mkdirSync(join(job, 'checks/members_clean'), { recursive: true })
  writeFileSync(
    join(job, 'job.yaml'),
    `job: ${JOB}
schedule: { cron: "0 2 * * *", timezone: UTC, start: 2026-02-01 }
connections: { legacy: "${url}", warehouse: "${url}" }
environments: { dev: { targets: { warehouse: "duckdb:dev.duckdb" } } }
extract: { members: { from: legacy, table: members, key: member_id, pool: legacy_db_pool } }
load: { dim_members: { to: warehouse, from: members_clean, key: member_id } }
alerts: { channels: { ops: { command: cat } } }
resources: { memory: 300MB, threads: 1 }
`,
  )
  writeFileSync(join(job, 'members_clean.sql'), 'SELECT member_id, first_name FROM members\n')
  writeFileSync(
    join(job, 'checks/members_clean/name_missing.sql'),
    "SELECT member_id, 'no name' AS reason FROM members_clean WHERE first_name IS NULL\n",
  )
  writeFileSync(join(place, 'orders.csv'), 'order_id,amount\n1,9.50\n2,12.00\n')
  putProgram(join(place, 'bin'))
})

/** Runs a line in a shell, in the folder of the examples. */
async function shell(line: string, meanwhile?: Step['meanwhile']): Promise<Ended> {
  // The shell becomes the program where nothing is redirected: so it gets the signals.
  const child = spawn('/bin/sh', ['-c', `exec ${line}`], {
    cwd: place,
    env: {
      ...process.env,
      PATH: `${join(place, 'bin')}:${process.env.PATH}`,
      NIGHTFREIGHT_HOME: home,
      SHOP_URL: url,
      METADATA_URL: '',
    },
  })
  const ended: Ended = { code: null, out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ended.err += text
  })
  const closed = once(child, 'close')
  try {
    await meanwhile?.(child)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  ;[ended.code] = (await closed) as [number | null]
  return ended
}

async function good(line: string): Promise<string> {
  const { code, out, err } = await shell(line)
  assert.equal(code, 0, `${line}\n${out}${err}`)
  return out
}

const latest = async () => JSON.parse(await good('nightfreight status --json')).runs[0].run as string
const started = async () => ({ [RUN]: await latest() })

const step = (name: string) => good(`nightfreight task run queries/members --run 2026-02-01 --task ${name}`)

/** A run of the job that has stopped after the model. */
async function half() {
  await good('nightfreight run queries/members --until model.members_clean')
  return started()
}

/** Begins a run that waits for a table's lock, which the end of the example gives back. */
let waiting: Promise<Ended> | undefined
async function blocked() {
  await query('BEGIN; LOCK TABLE members IN ACCESS EXCLUSIVE MODE')
  const before = await latest()
  waiting = shell('nightfreight run queries/members')
  while ((await latest()) === before) await delay(100)
  return started()
}
async function released() {
  await delay(1500)
  await query('COMMIT')
  const { code, out, err } = await waiting!
  assert.equal(code, 130, out + err)
}

/** Stops a service once it answers. */
const serving = (first: Record<string, string>): Step => ({
  first: async () => first,
  async meanwhile(child) {
    const [line] = (await once(child.stderr!, 'data')) as [string]
    assert.equal((await fetch(`${/http:[^;]+/.exec(line)![0]}healthz`)).status, 200)
    child.kill('SIGTERM')
  },
  says: /serving; dashboard at/,
})

/** By example, in an order in which each finds what it needs. */
const STEPS: Record<string, Step> = {
  'nightfreight validate queries/members': { says: /member_data_warehouse_sync is valid: 1 extract,/ },
  'nightfreight validate queries/members --format json': { says: /^\{"valid":true,"diagnostics":\[/ },
  ...workbenchSteps(place, good),
  'nightfreight doctor queries/members': { says: /may read members\n[\s\S]*: nothing is missing/ },
  'nightfreight plan queries/members': { says: /\+ 49 to insert/ },
  'nightfreight plan queries/members --json > plan.json': {
    says: /^$|extract\.members/,
    leaves: () => assert.match(readFileSync(join(place, 'plan.json'), 'utf8'), /"status":"PLANNED"/),
  },
  [`nightfreight run queries/members --from-plan ${RUN}`]: { first: started, says: /dim_members +\d+ +49 / },
  'nightfreight run queries/members': {
    says: /COMPLETED_WITH_ERRORS.*\n.*50 rows\n.*unchanged 1 model.*\n.*rejected .* 1 row/,
  },
  'nightfreight plan queries/members --env dev': {
    says: /environment dev: plan [\s\S]*as production has staged it[\s\S]*\+ 49 to insert/,
  },
  'nightfreight run queries/members --env dev': {
    says: /environment dev: COMPLETED_WITH_ERRORS.*\n[\s\S]*dim_members +50 +49 /,
  },
  'nightfreight history --env dev': { says: /COMPLETED_WITH_ERRORS/ },
  'nightfreight run queries/members --at 2026-02-01T02:00:00Z --json': { says: /"event":"result","run":/ },
  'nightfreight run queries/members --until model.members_clean': { says: /PLANNED/ },
  'nightfreight run queries/members --from diff.dim_members': {
    first: half,
    says: /dim_members +\d+ +0 +0 /,
  },
  'nightfreight run queries/members --full-refresh dim_members': { says: /a full refresh was asked for/ },
  'nightfreight task run queries/members --run 2026-02-01 --task check': { says: /check: done/ },
  'nightfreight task run queries/members --run 2026-02-01 --task extract.legacy': {
    first: async () => {
      await step('plan')
      return {}
    },
    says: /extract\.legacy: done/,
    leaves: async () => {
      for (const name of ['models', 'load.warehouse', 'finish']) await step(name)
    },
  },
  'nightfreight airflow export queries/members -o dags/members.py': { says: /DAG member_data/ },
  'nightfreight airflow export queries/members -o dags/members.py --check': { says: /as it is to be/ },
  'nightfreight airflow export queries/members --operator kubernetes --image nightfreight:1 --secret nightfreight':
    { says: /KubernetesPodOperator/ },
  'nightfreight checkpoints list': { first: half, says: /model\.members_clean: \d tasks done/ },
  [`nightfreight checkpoints list ${JOB} --json`]: { says: /"checkpoints":\[\{/ },
  'nightfreight checkpoints restore 20260201020312345-9f31ab02': {
    first: async () => {
      const { checkpoints } = JSON.parse(await good('nightfreight checkpoints list --json'))
      const { id } = checkpoints.find((each: { task: string }) => each.task === 'extract.legacy')
      return { '20260201020312345-9f31ab02': id }
    },
    says: /forgotten: types\.members, model\.members_clean\nGo on: nightfreight resume/,
  },
  'nightfreight resume': { says: /COMPLETED_WITH_ERRORS/ },
  [`nightfreight resume ${RUN} --accept-changes`]: {
    first: async () => {
      const ids = await half()
      appendFileSync(join(place, 'queries/members/members_clean.sql'), '-- changed\n')
      return ids
    },
    says: /COMPLETED_WITH_ERRORS/,
  },
  'nightfreight status': { says: /Tasks of [\w-]+:\n {2}SUCCESS {2}plan/ },
  [`nightfreight status ${RUN}`]: {
    first: async () => ({ [RUN]: await latest() }),
    says: /Tasks of [\w-]+:\n {2}SUCCESS {2}plan/,
  },
  'nightfreight status queries/members --json': { says: /"tasks":\[\{"task":"plan"/ },
  'nightfreight history': { says: /COMPLETED_WITH_ERRORS .* records/ },
  [`nightfreight history ${JOB} --since 2026-02-01 --json`]: { says: /"records_processed":49/ },
  'nightfreight history queries/members --checks': { says: /members_clean +name_missing +reject +98 %/ },
  'nightfreight verify queries/members': { says: /equal {4}warehouse\.dim_members/ },
  'nightfreight verify queries/members --json': { says: /"equal":true/ },
  'nightfreight verify queries/members --repair': { says: /equal {4}warehouse\.dim_members/ },
  ...errorSteps(place, { run: RUN, job: JOB, good, query }),
  'nightfreight alerts test queries/members ops': { says: /ops: sent/ },
  'nightfreight changes status queries/orders': {
    first: () => followOrders(place, { url, query }),
    says: /shop: replication slot nightfreight_orders_shop_\w+\n {2}tables {4}orders\n {2}kept from [0-9A-F/]+\n/,
  },
  'nightfreight run queries/orders --reconcile': { says: /orders: its log missed nothing: 0 rows compared/ },
  'nightfreight changes drop queries/orders': {
    says: /shop: removed replication slot nightfreight_orders_shop_\w+, publication nightfreight_orders_shop_/,
  },
  'nightfreight changes drop queries/orders shop': {
    says: /^shop: nothing was kept$/m,
    leaves: () => rmSync(join(place, 'queries/orders'), { recursive: true }),
  },
  'nightfreight alerts list': { says: /ops {2}sent {2}1 x/ },
  [`nightfreight alerts list ${JOB} --json`]: { says: /"alerts":\[\{/ },
  'nightfreight gc --dry-run': { says: /Would remove 0 runs/ },
  'nightfreight gc --keep-days 14': { says: /Removed 0 runs/ },
  'nightfreight gc queries/members': { says: /archive: 0 runs, 0 files/ },
  // What an archive gives back: `jobs/onS3`.
  'nightfreight restore 20260201T020000123-4f1c9a queries/members': {
    code: 2,
    says: /has no archive[\s\S]*archive: \{ to: s3/,
  },
  'nightfreight restore 20260201T020000123-4f1c9a queries/members_then --of member_data_warehouse_sync': {
    code: 2,
    says: /A job is a folder with a job\.yaml in it/,
  },
  'nightfreight backfill queries/members --from 2026-02-01 --to 2026-02-07 --dry-run': { says: /would run/ },
  'nightfreight backfill queries/members --from 2026-02-01T02:00 --to 2026-02-07T02:00': {
    // Two nights will do.
    first: async () => ({ '2026-02-07T02:00': '2026-02-02T02:00' }),
    says: /2026-02-01T02:00:00\.000Z .*\n2026-02-02T02:00:00\.000Z .*SUCCESS/,
  },
  [`nightfreight intervals ${JOB}`]: { says: /2026-02-02T02:00:00\.000Z .* SUCCESS {2}run / },
  [`nightfreight intervals ${JOB} --limit 7 --json`]: { says: /"paused":null,"intervals":\[\{/ },
  [`nightfreight intervals ${JOB} --forget-future`]: {
    says: /^forgotten: 0 intervals that end in the future/m,
  },
  [`nightfreight run-interval queries/members ${JOB} --start 2026-02-01T02:00:00Z --end 2026-02-02T02:00:00Z --claim 1 --trigger schedule`]:
    // Whose claim is not the latest loads nothing.
    { code: 75, says: /error FENCED/ },
  [`nightfreight pause ${JOB}`]: { says: /is paused/ },
  'nightfreight pause --pool legacy_db_pool': { says: /pool legacy_db_pool is paused/ },
  'nightfreight serve queries': serving({ queries: 'queries --port 0' }),
  'nightfreight serve queries --host 0.0.0.0 --user-header x-forwarded-user --trusted-proxy 10.0.0.5':
    serving({ queries: 'queries --port 0' }),
  'nightfreight serve queries --slots 4 --pool legacy_db_pool=2 --port 9464': serving({ 9464: '0' }),
  'nightfreight users add ada --role operator --no-password': { says: /ada is an operator/ },
  'nightfreight users list --json': { says: /"role":"operator"/ },
  'nightfreight users remove ada': { says: /ada is removed/ },
  [`nightfreight unpause ${JOB}`]: { says: /goes on/ },
  'nightfreight unpause --pool legacy_db_pool': { says: /pool legacy_db_pool goes on/ },
  [`nightfreight cancel ${RUN}`]: { first: blocked, says: /stopping at the next commit/ },
  [`nightfreight cancel ${RUN} --now`]: { first: blocked, says: /: stopping\n/ },
  'nightfreight copy orders.csv duckdb:warehouse.duckdb --key order_id --dry-run': { says: /\+ 2 to insert/ },
  'nightfreight init queries/shop --from "$SHOP_URL" --to duckdb:warehouse.duckdb --exclude "tmp_*"': {
    says: /members +(~\d+|\?) +member_id[\s\S]*queries\/shop\/job\.yaml/,
  },
  'nightfreight init queries/deliveries --from ./deliveries --to "$WAREHOUSE_URL" --schema raw': {
    first: async () => {
      mkdirSync(join(place, 'deliveries'))
      writeFileSync(join(place, 'deliveries/parts.csv'), 'part_id;name\n1;wheel\n')
      return { $WAREHOUSE_URL: 'lake:./lake' }
    },
    says: /parts\.csv: csv, delimiter ";", utf-8[\s\S]*queries\/deliveries\/job\.yaml/,
  },
  'nightfreight copy "$SHOP_URL" duckdb:first.duckdb': { says: /target\.members +50 +50 +0 / },
  'nightfreight copy "$SHOP_URL" duckdb:first.duckdb --tables "invoice*" --schema live --incremental changed_at --lag 5m':
    {
      first: async () => {
        await query(`CREATE TABLE invoices (id int PRIMARY KEY, changed_at timestamptz NOT NULL DEFAULT now());
          INSERT INTO invoices VALUES (1)`)
        return {}
      },
      says: /live\.invoices +1 +1 +0 /,
    },
  'nightfreight add table queries/shop refunds': {
    first: async () => {
      await query('CREATE TABLE refunds (id int PRIMARY KEY)')
      return {}
    },
    says: /reads and loads refunds, too/,
  },
  'nightfreight copy "$SHOP_URL" duckdb:warehouse.duckdb --query "SELECT member_id, upper(first_name) AS name FROM members" --as names --key member_id':
    {
      says: /target\.names +\d+ +\d+ +0 /,
    },
  'nightfreight completion bash': { says: /complete .* nightfreight$/m },
  'nightfreight copy orders.csv duckdb:warehouse.duckdb --key order_id': { says: /orders +2 +2 +0 / },
  'nightfreight copy orders.csv lake:./lake --save queries/orders': {
    says: /queries\/orders/,
    leaves: () => assert.match(readFileSync(join(place, 'queries/orders/job.yaml'), 'utf8'), /orders/),
  },
  'nightfreight copy returns.txt lake:./lake --set null_values=NULL,n/a --set date_format=%d.%m.%Y': {
    first: async () => {
      writeFileSync(join(place, 'returns.txt'), 'order_id;returned\n1;31.01.2026\n2;n/a\n')
      return {}
    },
    says: /returns\.txt: csv, delimiter ";"[\s\S]*returns +2 +2 +0 .*\n.* 0 rejected/,
  },
  'nightfreight demo --members 100000': {
    first: async () => ({ 100000: '1000' }),
    says: /Open the report of night two[\s\S]*export NIGHTFREIGHT_HOME=\S+demo\/home\n.*show \S+ members_enriched/,
  },
}

/** Every command with its path; the root first. */
const found = new Set<string>()
test('every command has an example of itself in its help', () => {
  for (const { path, command } of commands(commandLine())) {
    const examples = examplesIn(helpOf(command))
    assert.ok(
      examples.some(example => `${example} `.startsWith(`${path} `)),
      `${path} --help has no example`,
    )
    for (const example of examples) found.add(example)
  }
  assert.deepEqual(
    [...found].sort(),
    Object.keys(STEPS).sort(),
    'the examples that are run are those of the help',
  )
})

for (const [example, { code = 0, says, first, meanwhile, leaves }] of Object.entries(STEPS))
  test(example, async () => {
    let line = example
    for (const [from, to] of Object.entries((await first?.()) ?? {})) line = line.replaceAll(from, () => to)
    const ended = await shell(line, meanwhile)
    assert.equal(ended.code, code, ended.out + ended.err)
    assert.match(ended.out + ended.err, says)
    await leaves?.()
    if (first === blocked) await released()
  })

for (const [line, code, says] of WRONG)
  test(`what is wrong with: ${line}`, async () => {
    const ended = await shell(line)
    assert.equal(ended.code, code, ended.out + ended.err)
    assert.match(ended.err, says)
  })

test('a variable of the job that is not set is named, with what to do', async () => {
  cpSync(join(place, 'queries/members'), join(place, 'other/members'), { recursive: true })
  const file = join(place, 'other/members/job.yaml')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the job's own syntax
  writeFileSync(file, readFileSync(file, 'utf8').replace(`legacy: "${url}"`, 'legacy: ${NOT_SET_URL}'))
  const says = /environment variable NOT_SET_URL is not set: export it, or give a default/
  const ended = await shell('nightfreight plan other/members')
  assert.equal(ended.code, 2)
  assert.match(ended.err, says)
  // What asks no system needs none.
  const valid = await shell('nightfreight validate other/members')
  assert.equal(valid.code, 0, valid.err)
  assert.match(valid.out, says)
})
