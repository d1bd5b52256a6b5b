import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SchedulerFacts } from './scheduler.ts'

export interface Health {
  facts(): SchedulerFacts
  /** Why no work can be done now; undefined where it can. */
  trouble(): string | undefined
  /** Whether the loop still turns. */
  isAlive(): boolean
}

/** Serves /healthz (the process), /readyz (the store and the jobs) and /metrics (Prometheus text). */
export async function serveHealth(
  health: Health,
  { host, port }: { host: string; port: number },
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = (status: number, text: string) =>
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'GET only')
    if (path === '/healthz') return health.isAlive() ? answer(200, 'ok') : answer(503, 'the scheduler hangs')
    if (path === '/readyz') {
      const trouble = health.trouble()
      return trouble ? answer(503, trouble) : answer(200, health.facts().leads ? 'leads' : 'stands by')
    }
    if (path === '/metrics') return answer(200, metrics(health.facts()))
    return answer(404, '/healthz, /readyz, /metrics')
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
function metrics({ leads, waiting, running, blocked }: SchedulerFacts): string {
  const gauge = (name: string, help: string, value: number) =>
    `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}`
  return [
    gauge('batch_queue_depth', 'Data intervals that wait for their run.', waiting),
    gauge(
      'nightfreight_jobs_blocked',
      'Jobs whose data intervals wait for one that has failed.',
      blocked.size,
    ),
    gauge('nightfreight_runs_active', 'Runs of this process.', running),
    gauge('nightfreight_scheduler_leads', '1 where this process plans and starts runs.', leads ? 1 : 0),
  ].join('\n')
}
