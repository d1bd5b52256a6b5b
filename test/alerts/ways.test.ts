import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ask } from '../../src/util/ask.ts'
import { receiver } from './receivers.ts'

/** A proxy that leads every host to one port of this machine, and notes whom it was asked for. */
async function proxy(t: TestContext, port: number) {
  const asked: string[] = []
  const server = createServer((incoming, response) => {
    asked.push(new URL(incoming.url!).host)
    const { method, headers } = incoming
    const onward = request({ port, path: new URL(incoming.url!).pathname, method, headers }, answer =>
      answer.pipe(response.writeHead(answer.statusCode!)),
    )
    incoming.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const signal = () => AbortSignal.timeout(5000)

test('user and password of a URL are sent, and quoted nowhere', async t => {
  let authorization: string | undefined
  const hook = await receiver(t, (response, request) => {
    ;({ authorization } = request.headers)
    response.writeHead(401).end('who?')
  })
  const url = hook.url.replace('http://', 'http://ada:p%40ss@')
  assert.deepEqual(await ask(url, { method: 'POST', body: '{}', signal: signal() }), {
    ok: false,
    status: 401,
    text: 'who?',
  })
  assert.equal(authorization, `Basic ${Buffer.from('ada:p@ss').toString('base64')}`)
  await assert.rejects(ask('http://ada:p%40ss@127.0.0.1:9/T0P', { signal: signal() }), (error: Error) => {
    assert.doesNotMatch(error.message, /p%40ss|p@ss|T0P/)
    return true
  })
})

test('what leads out of a network by a proxy only', async t => {
  const hook = await receiver(t)
  const way = await proxy(t, Number(new URL(hook.url).port))
  const before = { ...process.env }
  t.after(() => {
    process.env = before
  })
  Object.assign(process.env, { HTTP_PROXY: way.url, NO_PROXY: 'inside.example' })
  const answer = await ask('http://hooks.example/services/x', {
    method: 'POST',
    body: 'hello',
    signal: signal(),
  })
  assert.deepEqual([answer.ok, way.asked, hook.bodies], [true, ['hooks.example'], ['hello']])
  await assert.rejects(ask('http://inside.example/', { signal: signal() }))
  assert.equal(way.asked.length, 1)
})

test('only what sends nothing follows where it is led', async t => {
  const end = await receiver(t)
  const led = await receiver(t, response => response.writeHead(302, { location: end.url }).end())
  assert.equal((await ask(led.url, { signal: signal() })).status, 200)
  assert.equal((await ask(led.url, { method: 'POST', body: 'secret', signal: signal() })).status, 302)
  assert.deepEqual(end.bodies, [''])
})
