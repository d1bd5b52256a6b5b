import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { freePort, listening } from './ports.ts'
import { pythonWith } from './python.ts'

// An SFTP server that asks for the password as banks do, and that reads as much at a time as it is asked for.
const SERVER = `
import asyncio, asyncssh, sys
class Server(asyncssh.SSHServer):
    def begin_auth(self, user): return True
    def password_auth_supported(self): return False
    def kbdint_auth_supported(self): return True
    def get_kbdint_challenge(self, user, language, methods):
        return '', '', 'en', [('Password:', False)] if user == 'one' else [('Colour:', True), ('Code:', False)]
    def validate_kbdint_response(self, user, responses): return list(responses) == ['s3cret pass']
class Files(asyncssh.SFTPServer):
    def format_longname(self, name):
        if len(sys.argv) > 3: name.longname = sys.argv[3].encode() + name.filename
        else: return super().format_longname(name)
async def main():
    await asyncssh.create_server(Server, '127.0.0.1', int(sys.argv[1]), server_host_keys=[sys.argv[2]], sftp_factory=Files)
    await asyncio.Future()
asyncio.run(main())
`

/**
 * Starts asyncssh's server with a host key; users are `one` (one hidden question) and any other (two questions). `line`:
 * a listing's lines are that and the name, not as ls has them.
 */
export async function startAsyncssh(hostKey: string, line?: string): Promise<{ port: number; stop(): void }> {
  const python = join(pythonWith('asyncssh', '2.24.1'), 'python')
  const port = await freePort()
  const child = spawn(python, ['-c', SERVER, String(port), hostKey, ...(line === undefined ? [] : [line])], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await listening(port)
  return { port, stop: () => void child.kill('SIGKILL') }
}
