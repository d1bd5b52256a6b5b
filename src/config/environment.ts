import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { EngineError, systemError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'

type Env = Record<string, string | undefined>

/**
 * What a job's references are resolved with: `env`, and below it `.env.NAME` and `.env` of the job's folder and of the one
 * that it lies in; NAME is NIGHTFREIGHT_ENV. Fails with CONFIG_INVALID where NAME is given and is none of the job's `own`
 * environments; of a job that has none, where there is no such file.
 */
export function environmentOf(folder: string, env: Env, own: string[] = []): Env {
  const name = env.NIGHTFREIGHT_ENV
  const folders = [resolve(folder), dirname(resolve(folder))]
  const read = (file: string) => folders.map(each => parsed(join(each, file)))
  // What a job with environments does under the name of another would be done to production.
  if (name && own.length > 0 && !own.includes(name))
    throw new EngineError('CONFIG_INVALID', `${name} is no environment of the job${didYouMean(name, own)}`, {
      hint: `Its environments: ${own.join(', ')}. For production, leave --env and NIGHTFREIGHT_ENV out.`,
    })
  const named = name ? read(`.env.${name}`) : []
  if (name && own.length === 0 && named.every(found => found === undefined))
    throw new EngineError('CONFIG_INVALID', `there is no .env.${name} in ${folders.join(' or ')}`, {
      hint: `Write one with the variables of ${name}, or leave --env and NIGHTFREIGHT_ENV out.`,
    })
  const found = [...named, ...read('.env')].toReversed()
  return { ...Object.assign({}, ...found), ...env }
}

function parsed(path: string): NodeJS.Dict<string> | undefined {
  try {
    return parseEnv(readFileSync(path, 'utf8'))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw systemError(cause)
  }
}
