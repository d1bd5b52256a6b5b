import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MAIN = join(import.meta.dirname, '../src/main.ts')

/** Puts the program into a folder, from its source, as `npm i -g` would: for a PATH of a test's own. */
export function putProgram(folder: string): string {
  mkdirSync(folder, { recursive: true })
  const program = join(folder, 'nightfreight')
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, { mode: 0o755 })
  return program
}
