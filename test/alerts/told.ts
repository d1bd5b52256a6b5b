import { existsSync, readFileSync } from 'node:fs'
import type { Alert } from '../../src/spec/alert.ts'

/** The alerts that a command channel has added to a file, one a line, oldest first. */
export function alertsIn(file: string): Alert[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter(line => line !== '').map(line => JSON.parse(line) as Alert)
}
