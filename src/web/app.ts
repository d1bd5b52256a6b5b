import { Hono } from 'hono'
import type { Seen } from '../service/serve.ts'

export interface WebOptions {
  seen: Seen
}

/** What is served: health for whoever keeps the service alive, and metrics for Prometheus. */
export function createApp({ seen }: WebOptions): Hono {
  const app = new Hono()
  app.get('/healthz', context =>
    seen.isAlive() ? context.text('ok\n') : context.text('the scheduler hangs\n', 503),
  )
  app.get('/readyz', context => {
    const trouble = seen.trouble()
    if (trouble) return context.text(`${trouble}\n`, 503)
    return context.text(seen.facts().leads ? 'leads\n' : 'stands by\n')
  })
  app.get('/metrics', async context =>
    context.body(await seen.metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
  return app
}
