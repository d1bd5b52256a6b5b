import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { EngineError, systemError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'

type Env = Record<string, string | undefined>

/**
 * What a job's references are resolved with: `env`, and below it `.env.NAME` and `.env` of the job's folder and of the one
 * that it lies in; NAME is NIGHTFREIGHT_ENV. Fails with CONFIG_INVALID where NAME is given, is none of the job's `own`
 * environments, and there is no such file.
 */
export function environmentOf(folder: string, env: Env, own: string[] = []): Env {
  const name = env.NIGHTFREIGHT_ENV
  const folders = [resolve(folder), dirname(resolve(folder))]
  const read = (file: string) => folders.map(each => parsed(join(each, file)))
  const named = name ? read(`.env.${name}`) : []
  if (name && !own.includes(name) && named.every(found => found === undefined)) {
    const none = `there is no .env.${name} in ${folders.join(' or ')}`
    const said = own.length > 0 ? `, and ${name} is no environment of the job${didYouMean(name, own)}` : ''
    throw new EngineError('CONFIG_INVALID', none + said, {
      hint: `${own.length > 0 ? `Its environments: ${own.join(', ')}. Or write a file` : 'Write one'} with the variables of ${name}, or leave --env and NIGHTFREIGHT_ENV out.`,
    })
  }
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
