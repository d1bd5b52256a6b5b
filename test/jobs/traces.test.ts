import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { receiver } from '../alerts/receivers.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

interface OtlpSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[]
  status: { code?: number; message?: string }
  events?: { name: string; attributes: { key: string; value: { intValue?: number } }[] }[]
}

const { url: source, query } = await freshPostgres()

/** A job that copies a table of two rows into a DuckDB file. */
async function job(name: string, values: string) {
  await query(`CREATE TABLE ${name} (id int NOT NULL, name text); INSERT INTO ${name} VALUES ${values}`)
  return smallJob({ after }, name, {
    'job.yaml': `connections: { in: "${source}", out: "duckdb:out.duckdb" }
extract: { people: { from: in, table: ${name} } }
load: { people: { to: out, from: people, key: id } }
`,
  })
}

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('a run is sent as a trace: its tasks below it, below what started it', async t => {
  const { url, bodies } = await receiver(t)
  const { cliIn, folder } = await job('traced', "(1, 'Ada'), (2, 'Grace')")
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, TRACEPARENT: PARENT }
  const { code, output } = await cliIn(env, 'run', folder)
  assert.equal(code, 0, output)
  assert.equal(bodies.length, 1)
  const [resource] = JSON.parse(bodies[0]!).resourceSpans
  const names = resource.resource.attributes.filter(({ key }: { key: string }) => key === 'service.name')
  assert.deepEqual(names, [{ key: 'service.name', value: { stringValue: 'nightfreight' } }])
  const spans: OtlpSpan[] = resource.scopeSpans[0].spans
  assert.deepEqual(
    new Set(spans.map(({ traceId }) => traceId)),
    new Set(['0af7651916cd43dd8448eb211c80319c']),
  )
  const run = spans.find(({ name }) => name === 'run traced')!
  assert.equal(run.parentSpanId, 'b7ad6b7169203331')
  const tasks = spans.filter(span => span !== run)
  const named = (name: string) => tasks.find(span => span.name === name)
  assert.ok(named('load.out'))
  const staged = named('extract.in')!.events!.map(({ name, attributes }) => [
    name,
    attributes.find(({ key }) => key === 'rows')!.value.intValue,
  ])
  assert.deepEqual(staged, [['chunk', 2]])
  for (const span of tasks) {
    assert.equal(span.parentSpanId, run.spanId)
    assert.ok(BigInt(span.startTimeUnixNano) >= BigInt(run.startTimeUnixNano))
    assert.ok(BigInt(span.endTimeUnixNano) <= BigInt(run.endTimeUnixNano))
    assert.notEqual(span.status.code, 2)
  }
})

test('a run that fails is a span that failed; a receiver that refuses is told of, and changes nothing', async t => {
  const { url, bodies } = await receiver(t, response => response.writeHead(400).end('no'))
  const { cliIn, folder } = await job('untraced', "(1, 'Ada'), (1, 'Grace')")
  const { code, output } = await cliIn({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url }, 'run', folder)
  assert.equal(code, 4, output)
  assert.match(output, /the trace was not sent: .*Bad Request/)
  const spans: OtlpSpan[] = JSON.parse(bodies[0]!).resourceSpans[0].scopeSpans[0].spans
  const failed = spans.filter(({ status }) => status.code === 2)
  assert.ok(
    failed.some(({ name, status }) => name === 'run untraced' && /DUPLICATE/.test(status.message!)),
    output,
  )
  assert.ok(failed.some(({ name }) => name !== 'run untraced'))
})
