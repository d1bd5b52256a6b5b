import { globSync, writeFileSync } from 'node:fs'
import { ensureProgram } from './debian.ts'

/**
 * The environment of a process whose clock is wrong: by what is written into `file` (`-2d`, `+90m`), now and whenever that
 * changes. Its timers go on as they are. Installs libfaketime where it is not; throws with the line to type otherwise.
 */
export function wrongClock(file: string, offset: string): Record<string, string> {
  setClock(file, offset)
  return {
    LD_PRELOAD: library(),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  }
}

export const setClock = (file: string, offset: string): void => writeFileSync(file, `${offset}\n`)

function library(): string {
  const pattern = '/usr/lib/*/faketime/libfaketimeMT.so.1'
  ensureProgram(pattern, 'libfaketime')
  return globSync(pattern)[0]!
}
