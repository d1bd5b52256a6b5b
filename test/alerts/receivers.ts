import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import type { Hooks } from '../servers.ts'

/** An HTTP receiver; `answers` are taken one a request, the last for all that follow. */
export async function receiver(
  hooks: Hooks,
  ...answers: ((response: ServerResponse, request: IncomingMessage) => void)[]
) {
  const bodies: string[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    bodies.push(body)
    const answer = answers[Math.min(bodies.length, answers.length) - 1]
    if (answer) answer(response, request)
    else response.end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  hooks.after(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/hook/T0PS3CRET`, bodies }
}

export interface Mail {
  to: string[]
  user: string | undefined
  text: string
}

/** An SMTP server with a certificate of its own that lets `night` in with `p@ss w0rd`. */
export async function mailServer(hooks: Hooks, options: { secure?: boolean; deaf?: boolean } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-mail-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  execFileSync(
    'openssl',
    `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout ${key} -out ${cert}`.split(' '),
    { stdio: 'ignore' },
  )
  const mails: Mail[] = []
  const server = new SMTPServer({
    secure: options.secure ?? false,
    key: readFileSync(key),
    cert: readFileSync(cert),
    // No pretence of a reverse look-up.
    disableReverseLookup: true,
    onConnect: (_, done) => {
      if (!options.deaf) done()
    },
    onAuth: ({ username, password }, _, done) => {
      if (username === 'night' && password === 'p@ss w0rd') done(null, { user: username })
      else done(new Error('wrong user or password'))
    },
    onRcptTo: ({ address }, _, done) =>
      done(address.startsWith('nobody') ? new Error('no such mailbox') : null),
    onData(stream, session, done) {
      let text = ''
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
      })
      stream.on('end', () => {
        mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), user: session.user, text })
        done()
      })
    },
  })
  server.on('error', () => {})
  const { port } = await new Promise<AddressInfo>(resolve => {
    const inner = server.listen(0, '127.0.0.1', () => resolve(inner.address() as AddressInfo))
  })
  hooks.after(async () => {
    await new Promise<void>(resolve => server.close(() => resolve()))
    rmSync(folder, { recursive: true })
  })
  const scheme = options.secure ? 'smtps' : 'smtp'
  const url = (user = 'night:p%40ss%20w0rd@', query = '?tls.rejectUnauthorized=false') =>
    `${scheme}://${user}127.0.0.1:${port}/${query}`
  return { mails, url }
}
