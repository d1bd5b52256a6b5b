import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Account } from './account.ts'

/** A database server started for a demo or a test. `stop` may be called twice; it resolves once the process is gone. */
export interface RunningServer {
  url: string
  pid: number
  port: number
  stop(): Promise<void>
}

interface Launch {
  command: string
  args: string[]
  /** The signal that asks this server for a quick, clean shutdown. */
  stopSignal: 'INT' | 'TERM'
  /** Whom to run as; undefined: whoever we are. */
  account: Account | undefined
  /** Where both output streams of the server go. */
  logFile: string
  cwd: string
}

/** A started process: `exited` resolves when it ends for whatever reason, `stop` ends it. */
interface Launched {
  pid: number
  hasExited(): boolean
  stop(): Promise<void>
}

// The shell is the server's parent and reads a pipe that only we hold. The kernel closes that pipe however we
// end, SIGKILL included, so one path serves stop(), Ctrl-C and a hard death, without polling a process id that
// may be a zombie or already somebody else's. Server and shell have a session of their own, so the terminal's
// Ctrl-C cannot stop the server under a client that is still finishing.
const KEEPER = `
log=$1; sig=$2; shift 2
exec 3<&0 </dev/null
"$@" 3<&- >>"$log" 2>&1 &
pid=$!
echo "$pid"
exec >&-
( read -r _ <&3
  kill -"$sig" "$pid"
  i=0
  while [ $i -lt 100 ] && kill -0 "$pid"; do sleep 0.1; i=$((i + 1)); done
  kill -KILL "$pid" ) 2>/dev/null &
reader=$!
exec 3<&-
wait "$pid"
kill "$reader" 2>/dev/null
`

/** Starts a server that cannot outlive this process. Throws where the shell cannot be started. */
async function launch(spec: Launch): Promise<Launched> {
  const child = spawn(
    '/bin/sh',
    ['-c', KEEPER, 'keeper', spec.logFile, spec.stopSignal, spec.command, ...spec.args],
    {
      cwd: spec.cwd,
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
      // A clean environment: PGOPTIONS, MYSQL_HOME and the like of the caller would change the server.
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...(spec.account && { uid: spec.account.uid, gid: spec.account.gid }),
    },
  )
  let exited = false
  const gone = once(child, 'exit').then(() => {
    exited = true
  })
  child.stdin.on('error', () => {})
  const [line] = (await Promise.race([once(child.stdout, 'data'), gone.then(() => [''])])) as [Buffer | '']
  const pid = Number.parseInt(line.toString(), 10)
  if (!pid) throw new Error(`${spec.command} did not start`)
  // Whoever started us may simply end; the pipe then closes and the server follows.
  child.unref()
  for (const pipe of [child.stdin, child.stdout]) (pipe as unknown as { unref(): void }).unref()
  return {
    pid,
    hasExited: () => exited,
    async stop() {
      if (exited) return
      child.ref()
      child.stdin.end()
      await gone
    },
  }
}

/** Asks the operating system for a port nobody listens on at 127.0.0.1. */
async function freePort(): Promise<number> {
  const probe = createServer()
  probe.listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}

/**
 * Starts a server on a free port and waits until `probe` succeeds (30 s at most; `signal` ends the wait and,
 * later, the server). A port taken between the question and the bind is tried again. Throws with the end of
 * the server's log.
 */
export async function startOnFreePort(
  name: string,
  spec: (port: number) => Launch,
  probe: (port: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<Launched & { port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const wanted = spec(port)
    const server = await launch(wanted)
    try {
      await untilReady(server, () => probe(port), signal)
      signal?.addEventListener('abort', () => void server.stop(), { once: true })
      return { ...server, port }
    } catch (cause) {
      await server.stop()
      signal?.throwIfAborted()
      const log = await readFile(wanted.logFile, 'utf8').catch(() => '')
      if (attempt < 3 && /address already in use/i.test(log)) continue
      throw new Error(`${name} did not become ready. The end of ${wanted.logFile}:\n${log.slice(-2000)}`, {
        cause,
      })
    }
  }
}

async function untilReady(server: Launched, probe: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + 30_000
  for (;;) {
    signal?.throwIfAborted()
    try {
      return await probe()
    } catch (error) {
      if (server.hasExited() || performance.now() > deadline) throw error
      await delay(30)
    }
  }
}
