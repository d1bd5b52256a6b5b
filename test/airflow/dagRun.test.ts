import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openMetadata } from '../../src/metadata/open.ts'
import { endOf } from '../commandLine.ts'
import { contents } from '../jobs/crash.ts'
import { loadedBy, runNight, startSystems } from '../jobs/night.ts'
import { smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'
import { startAirflow } from './airflow.ts'

const root = join(import.meta.dirname, '../..')
const DAG = 'member_data_warehouse_sync'

const systems = await startSystems({ after }, 600, 80)
const airflow = await startAirflow({ after })

const exported = (env: Record<string, string>, ...more: string[]) =>
  execFileSync(
    process.execPath,
    [
      ...['src/main.ts', 'airflow', 'export', 'queries/members'],
      ...['-o', join(airflow.dags, 'members.py'), '--folder', join(root, 'queries/members'), ...more],
    ],
    { cwd: root, env, encoding: 'utf8', stdio: 'pipe' },
  )

test('airflow dags test runs the main job from the exported DAG, and leaves what one run leaves', async t => {
  const warehouse = await freshPostgres(t)
  const home = systems.folder()
  const env = systems.env(warehouse, home)
  // The warehouse's URL is a connection of Airflow's, and no variable of the worker.
  const connection = ['--connection', 'WAREHOUSE_URL=warehouse']
  exported(env, ...connection)
  assert.match(exported(env, ...connection, '--check'), /as it is to be/)
  assert.throws(() => exported(env, '--check'), /export queries\/members -o /)
  const pool = await airflow.run(['pools', 'set', 'legacy_db_pool', '4', 'of the tests'])
  assert.equal(pool.code, 0, pool.output)
  const faults = await airflow.run(['dags', 'list-import-errors'], env)
  assert.match(faults.output, /No data found/, faults.output)

  const { WAREHOUSE_URL, ...others } = env
  const night = await airflow.run(['dags', 'test', DAG, '2025-12-01'], {
    ...others,
    AIRFLOW_CONN_WAREHOUSE: WAREHOUSE_URL!,
  })
  assert.equal(night.code, 0, night.output)
  assert.match(night.output, /state=success/)

  const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
  const [run] = await metadata.runs(1).finally(() => metadata.close())
  const whole = await freshPostgres(t)
  loadedBy(await runNight(systems.env(whole, systems.folder()), run!.run_at))
  assert.deepEqual(await contents(warehouse), await contents(whole))
})

test('a step that cannot succeed is not tried again, and the run ends FAILED', async t => {
  const warehouse = await freshPostgres(t)
  const env = systems.env(warehouse, systems.folder())
  exported(env)
  delete env.CRM_DB_URL
  const night = await airflow.run(['dags', 'test', DAG, '2025-11-30'], env)
  assert.match(night.output, /check: exit code 2, a repeat gives the same/)
  assert.match(night.output, /finish: exit code 2/)
  assert.match(night.output, /state=failed/)
})

/** Asks the three DAGs what they would start, and what they make of exit codes. No container is started. */
const ASK = `
import importlib.util, sys
from types import SimpleNamespace as Of
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import models as k8s

def module(name):
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made

run = Of(run_id="r 1", run_type="manual", data_interval_end=None)
for name in ("in_bash", "in_docker", "in_pods"):
    made = module(name)
    tasks = made.dag.task_ids
    assert "bucket" in tasks and made.dag.get_task("bucket").is_mapped, tasks
    assert made.dag.get_task("extract_legacy_db").pool == "legacy db", tasks
    assert made.dag.get_task("check").upstream_task_ids == {"wait_for_a-b", "wait_for_a_b"}, tasks
    assert made.arguments_of("check", {"dag_run": run})[-4:] == ["--run", "r 1", "--task", "check"]
    for code, final in ((75, False), (130, False), (-9, False), (137, False), (143, False), (2, True), (127, True)):
        try:
            made.judge("check", code)
        except AirflowException as error:
            assert isinstance(error, AirflowFailException) == final, code
        else:
            raise SystemExit(f"{code} is taken for done")

docker = module("in_docker").dag.get_task("check")
assert (docker.image, docker.entrypoint) == ("nf:1", ["nightfreight"])

made = module("in_pods")
task = made.dag.get_task("check")
assert task.deferrable
task.arguments = made.arguments_of("check", {"dag_run": run})
pod = task.build_pod_request_obj()
[container] = pod.spec.containers
assert (container.image, container.command, container.args[:2]) == ("nf:1", ["nightfreight"], ["task", "run"])
assert container.env_from[0].secret_ref.name == "nightfreight"
task.process_pod_deletion = task.patch_already_checked = lambda *_, **__: None

def ended(code):
    statuses = []
    if code is not None:
        state = k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(exit_code=code))
        named = Of(name=container.name, state=state)
        statuses.append(named)
    return k8s.V1Pod(metadata=pod.metadata, spec=pod.spec, status=k8s.V1PodStatus(phase="Failed", container_statuses=statuses))

for code, final in ((2, True), (75, False), (137, False), (None, False)):
    try:
        task.cleanup(pod, ended(code))
    except AirflowException as error:
        assert isinstance(error, AirflowFailException) == final, code
    else:
        raise SystemExit(f"pod of {code} is taken for done")
print("all as it is to be")
`

test('by bash, Docker and Kubernetes: Airflow imports the DAGs, Ruff finds nothing, exit codes are told apart', async t => {
  const job = await smallJob(t, 'divided', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { members: { from: in, pool: legacy db, files: m.csv, take: all, key: id, schema: { id: BIGINT } } }
load: { m: { to: wh, from: m, key: id } }
schedule: { cron: "0 2 * * *", after: [a-b, a_b] }
sla: { max_duration: 6h }
airflow: { email: [a@example.org] }
`,
    'm.sql': '-- @buckets 3 by members.id\nSELECT * FROM members',
  })
  const dags = job.home
  const write = async (file: string, ...flags: string[]) => {
    const { code, output } = await job.cli('airflow', 'export', job.folder, '-o', join(dags, file), ...flags)
    assert.equal(code, 0, output)
  }
  await write('in_bash.py', '--connection', 'WH_URL=wh')
  await write('in_docker.py', '--operator', 'docker', '--image', 'nf:1', '--variable', 'METADATA_URL')
  await write('in_pods.py', '--operator', 'kubernetes', '--image', 'nf:1', '--secret', 'nightfreight')
  // The operator wants to know of a cluster before it builds a pod; nobody is asked there.
  const cluster = join(job.home, 'cluster.json')
  const [server, name] = ['http://127.0.0.1:9', 'nowhere']
  writeFileSync(
    cluster,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': name, users: [{ name, user: {} }] },
      clusters: [{ name, cluster: { server } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  )
  const env = { ...process.env, ...airflow.env, KUBECONFIG: cluster }
  const run = (program: string, ...args: string[]) => endOf(spawn(airflow.program(program), args, { env }))
  const files = ['in_bash.py', 'in_docker.py', 'in_pods.py'].map(file => join(dags, file))
  const rules = await run('ruff', 'check', '--isolated', '--preview', '--select', 'AIR,E9,F,I', ...files)
  assert.equal(rules.code, 0, rules.output)
  const asked = await run('python', '-c', ASK, dags)
  assert.match(asked.output, /all as it is to be/)

  const refused: [string[], RegExp][] = [
    [['--operator', 'docker'], /--operator docker needs --image/],
    [['--image', 'x'], /--image is of containers/],
    [['--variable', 'A'], /have the variables of their worker/],
    [['--secret', 'a'], /--secret is of Kubernetes/],
    [
      ['--operator', 'kubernetes', '--image', 'x', '--connection', 'A=b'],
      /would write passwords into the pod/,
    ],
    [['--connection', 'A'], /is not VARIABLE=ID/],
  ]
  for (const [flags, told] of refused) {
    const { code, output } = await job.cli('airflow', 'export', job.folder, ...flags)
    assert.equal(code, 2, output)
    assert.match(output, told)
  }
})
