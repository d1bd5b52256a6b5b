import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** How a command ended, and what it wrote: each stream, and both as they came. */
export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
  output: string
}

/** How a process ends, and all that it writes on its way. */
export async function endOf(
  child: ChildProcessByStdio<null | Writable, Readable, Readable>,
): Promise<Pick<Ended, 'code' | 'output'>> {
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

/** Runs the command line from its source on the state in `home`; `begun` gets the process, which it may kill; `program` is run in place of it. */
export async function commandLine(
  home: string,
  args: string[],
  {
    env,
    begun,
    program = ['src/main.ts'],
  }: { env?: Record<string, string>; begun?: (child: ChildProcess) => void; program?: string[] } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...program, ...args], {
    cwd: join(import.meta.dirname, '..'),
    env: { ...process.env, NIGHTFREIGHT_HOME: home, ...env },
  })
  begun?.(child)
  const ended: Ended = { code: null, signal: null, out: '', err: '', output: '' }
  const follow = (stream: NodeJS.ReadableStream, name: 'out' | 'err') =>
    stream.setEncoding('utf8').on('data', (text: string) => {
      ended[name] += text
      ended.output += text
    })
  follow(child.stdout, 'out')
  follow(child.stderr, 'err')
  ;[ended.code, ended.signal] = (await once(child, 'close')) as [Ended['code'], Ended['signal']]
  return ended
}
