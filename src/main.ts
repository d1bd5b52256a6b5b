#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// Compiled code (and TypeScript without its types) is kept from one start to the next: the larger half of a short command.
// Worker threads learn of it by their environment only.
process.env.NODE_COMPILE_CACHE ??= join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'nightfreight',
)
enableCompileCache(process.env.NODE_COMPILE_CACHE)
// Whoever reads no further, as `| head`, has what it wanted: the command does what it has to do all the same, and says how it ended.
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') return
  process.stderr.write(`error RESOURCE_EXHAUSTED: standard output cannot be written: ${message}\n`)
  process.exit(75)
})
// A run goes on, whether or not somebody looks.
process.stderr.on('error', () => {})
const { program } = await import('./cli/program.ts')

await program(process.argv)

// Whatever may still be open: what has failed has said so, and ends.
if (process.exitCode) setTimeout(() => process.exit(), 5000).unref()
