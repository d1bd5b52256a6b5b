import { accessSync, constants } from 'node:fs'
import { resolve } from 'node:path'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { openMetadata as open } from '../metadata/open.ts'
import { makeFolder } from '../util/folder.ts'

export const systemClock: Clock = { now: () => new Date() }

/** Where staging, reports and (unless METADATA_URL names a Postgres) metadata are kept: NIGHTFREIGHT_HOME, or `.nightfreight` in the working folder. */
export function homeFolder(env = process.env): string {
  const named = env.NIGHTFREIGHT_HOME ?? '.nightfreight'
  if (named === '')
    throw new EngineError('CONFIG_INVALID', 'NIGHTFREIGHT_HOME is empty', {
      hint: 'Name a folder, or unset it: then it is .nightfreight in the working folder.',
    })
  return resolve(named)
}

/** Makes the home folder where it is not there. Fails with PERMISSION_DENIED where it cannot be. */
export function makeHome(home: string): void {
  try {
    makeFolder(home, 0o700)
    accessSync(home, constants.W_OK)
  } catch (cause) {
    throw new EngineError('PERMISSION_DENIED', `${home}: nothing can be written there, where state is kept`, {
      cause,
      hint: 'Name a folder of your own: NIGHTFREIGHT_HOME=~/.nightfreight',
    })
  }
}

/** Opens the store, in `home` without a URL; the home folder is made where it is not there, for nobody else's eyes. */
export async function openMetadata(home: string, url = process.env.METADATA_URL): Promise<Metadata> {
  makeHome(home)
  return open(home, systemClock, url)
}
