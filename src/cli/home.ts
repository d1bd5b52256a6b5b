import { join, resolve } from 'node:path'
import type { Clock } from '../../engine/ports.ts'
import { Metadata } from '../metadata/sqlite.ts'

export const systemClock: Clock = { now: () => new Date() }

/** Where staging, reports and metadata are kept: NIGHTFREIGHT_HOME, or `.nightfreight` in the working folder. */
export function homeFolder(env = process.env): string {
  return resolve(env.NIGHTFREIGHT_HOME ?? '.nightfreight')
}

export function openMetadata(home: string): Metadata {
  return new Metadata(join(home, 'metadata.db'), systemClock)
}
