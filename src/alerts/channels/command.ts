import { spawn } from 'node:child_process'
import type { Alert } from '../../spec/alert.ts'
import type { CommandChannel } from '../../spec/alerts.ts'
import { body, subject } from '../text.ts'

/** Runs the command with the alert as JSON on its standard input; fails where it does not exit with 0. */
export async function sendCommand(
  { command, folder }: CommandChannel,
  alert: Alert,
  signal: AbortSignal,
): Promise<void> {
  const [program = '', ...args] = command
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // A group of its own, so that what it has started ends with it.
  const child = spawn(program, args, { cwd: folder, detached: true, stdio: ['pipe', 'ignore', 'pipe'] })
  child.on('error', reject)
  // It has not begun, and may have nothing to write to.
  if (child.pid === undefined) return promise
  const stop = () => {
    reject(signal.reason)
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Gone by itself.
    }
  }
  signal.addEventListener('abort', stop, { once: true })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (said.length < 500) said += text
  })
  child.on('exit', (code, killed) => {
    if (code === 0) resolve()
    else reject(new Error(`ended with ${code ?? killed} ${said.trim().slice(0, 500)}`.trim()))
  })
  // A command need not read it.
  child.stdin.on('error', () => {})
  child.stdin.end(`${JSON.stringify({ ...alert, subject: subject(alert), text: body(alert) })}\n`)
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', stop)
    child.stderr.destroy()
  }
}
