import { resolve } from 'node:path'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { openMetadata as open } from '../metadata/open.ts'

export const systemClock: Clock = { now: () => new Date() }

/** Where staging, reports and (unless METADATA_URL names a Postgres) metadata are kept: NIGHTFREIGHT_HOME, or `.nightfreight` in the working folder. */
export function homeFolder(env = process.env): string {
  return resolve(env.NIGHTFREIGHT_HOME ?? '.nightfreight')
}

export function openMetadata(home: string): Promise<Metadata> {
  return open(home, systemClock, process.env.METADATA_URL)
}
