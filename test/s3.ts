import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { ensureMoto } from './moto.ts'
import { freePort, listening } from './ports.ts'

/** What the proxy does to a request; undefined: it goes through. A `code` is S3's refusal, with a status and headers. */
export type Mischief = (method: string, url: string, headers: IncomingHttpHeaders) => Trick | Promise<Trick>

type Trick = 'cut' | { code: string; status: number; headers?: Record<string, string> } | undefined

/** An S3 server of the test's own behind a proxy that misbehaves when told to. */
export interface S3Server {
  endpoint: string
  bucket(name: string): Promise<void>
  /** Asked at every request. */
  mischief: Mischief | undefined
  /** Requests seen so far. */
  requests: string[]
  stop(): void
}

/** Starts moto and the proxy; stopped by `stop`. */
export async function startS3(): Promise<S3Server> {
  const port = await freePort()
  const child = spawn(ensureMoto(), ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  await listening(port)
  const server: S3Server = {
    endpoint: '',
    mischief: undefined,
    requests: [],
    bucket: async name => {
      const client = new S3Client({
        endpoint: server.endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      })
      await client.send(new CreateBucketCommand({ Bucket: name }))
      client.destroy()
    },
    stop: () => {
      child.kill('SIGKILL')
      proxy.close()
      proxy.closeAllConnections()
    },
  }
  const proxy = createServer(async (asked, answer) => {
    const { method = '', url = '' } = asked
    server.requests.push(`${method} ${url}`)
    const mischief = await server.mischief?.(method, url, asked.headers)
    if (typeof mischief === 'object') {
      asked.resume()
      answer.writeHead(mischief.status, { 'content-type': 'application/xml', ...mischief.headers })
      answer.end(
        `<?xml version="1.0"?><Error><Code>${mischief.code}</Code><Message>As asked.</Message></Error>`,
      )
      return
    }
    const onward = request({ port, host: '127.0.0.1', method, path: url, headers: asked.headers }, given => {
      answer.writeHead(given.statusCode!, given.headers)
      if (mischief !== 'cut') {
        given.pipe(answer)
        return
      }
      given.once('data', (chunk: Buffer) => {
        answer.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => answer.destroy())
      })
    })
    onward.on('error', () => answer.destroy())
    asked.pipe(onward)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  server.endpoint = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`
  return server
}
