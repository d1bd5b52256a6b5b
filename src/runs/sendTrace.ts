import { EngineError, errorData } from '../../engine/errors.ts'
import type { TaskRecord } from '../metadata/tasks.ts'
import type { HeldRun } from './heldRun.ts'
import type { ChunkMoment } from './liveRun.ts'
import type { RunOptions } from './options.ts'
import type { RunResult } from './result.ts'

/** A run as it ended, for a trace. */
interface Traced extends Pick<RunResult, 'status' | 'error'> {
  tasks: TaskRecord[]
  chunks: readonly ChunkMoment[]
  at: Date
}

/**
 * Sends a run that has ended as an OpenTelemetry trace: a span of the run, one of each task below it, an event of each
 * staged chunk. Off unless the environment names a receiver, by OpenTelemetry's own variables; `TRACEPARENT` is what
 * the run is part of. Never throws: what fails is told.
 */
export async function sendTrace(
  { env, progress }: Pick<RunOptions, 'env' | 'progress'>,
  { record, log }: Pick<HeldRun, 'record' | 'log'>,
  ended: Traced,
): Promise<void> {
  if (!env.OTEL_EXPORTER_OTLP_ENDPOINT && !env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return
  try {
    const sdk = await loadSdk()
    const spans: Parameters<InstanceType<typeof sdk.OTLPTraceExporter>['export']>[0] = []
    const provider = new sdk.TracerProvider({
      resource: sdk
        .defaultResource()
        .merge(sdk.resourceFromAttributes({ 'service.name': env.OTEL_SERVICE_NAME ?? 'nightfreight' })),
      spanLimits: { eventCountLimit: Number.MAX_SAFE_INTEGER },
      spanProcessors: [
        {
          onStart() {},
          onEnd: span => void spans.push(span),
          forceFlush: async () => {},
          shutdown: async () => {},
        },
      ],
    })
    const tracer = provider.getTracer('nightfreight')
    const carrier = { traceparent: env.TRACEPARENT, tracestate: env.TRACESTATE }
    const outer = new sdk.W3CTraceContextPropagator().extract(
      sdk.ROOT_CONTEXT,
      carrier,
      sdk.defaultTextMapGetter,
    )
    const attributes = { 'nightfreight.job': record.job, 'nightfreight.run': record.run }
    const run = tracer.startSpan(
      `run ${record.job}`,
      {
        startTime: new Date(record.started_at),
        attributes: {
          ...attributes,
          'nightfreight.run_at': record.run_at,
          'nightfreight.status': ended.status,
        },
      },
      outer,
    )
    const inner = sdk.trace.setSpan(outer, run)
    for (const { task, attempt, started_at, ended_at, status, code } of ended.tasks) {
      const span = tracer.startSpan(
        task,
        { startTime: new Date(started_at), attributes: { ...attributes, 'nightfreight.attempt': attempt } },
        inner,
      )
      for (const { at, chunk } of ended.chunks.filter(each => each.task === task))
        span.addEvent('chunk', { extract: chunk.extract, rows: chunk.rows, bytes: chunk.bytes }, at)
      if (status === 'FAILED')
        span.setStatus({ code: sdk.SpanStatusCode.ERROR, ...(code !== null && { message: code }) })
      span.end(ended_at === null ? ended.at : new Date(ended_at))
    }
    if (ended.error !== undefined) {
      const { code, message } = errorData(ended.error)
      run.setStatus({ code: sdk.SpanStatusCode.ERROR, message: `${code ?? 'UNEXPECTED'}: ${message}` })
    }
    run.end(ended.at)
    const exporter = new sdk.OTLPTraceExporter()
    const { promise, resolve } = Promise.withResolvers<Error | undefined>()
    exporter.export(spans, ({ error }) => resolve(error))
    const failure = await promise
    await exporter.shutdown()
    if (failure) throw failure
  } catch (failure) {
    const reason = errorData(failure).message
    log.error({ reason }, 'the trace was not sent')
    progress.note(`the trace was not sent: ${reason}`)
  }
}

/** OpenTelemetry's SDK, which is not installed with us. */
async function loadSdk() {
  try {
    const [api, core, resources, trace, exporter] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
    ])
    return { ...api, ...core, ...resources, ...trace, ...exporter }
  } catch (cause) {
    throw new EngineError('CONFIG_INVALID', 'OpenTelemetry’s packages are not installed', {
      cause,
      hint: 'Type: npm install @opentelemetry/api @opentelemetry/sdk-trace @opentelemetry/exporter-trace-otlp-http',
    })
  }
}
