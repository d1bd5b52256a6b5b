import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { Production } from '../runs/environment.ts'
import { homeFolder } from './home.ts'

/** Commands that work in an environment; all others are production's. */
const KNOWING = [
  'run',
  'plan',
  'validate',
  'test',
  'show',
  'shell',
  'export',
  'lineage',
  'docs',
  'history',
  'status',
  'verify',
  'gc',
]
/** Those of them that take a job's name, not its folder. */
const BY_NAME = ['history', 'status', 'gc']

/** The environment that this command works in. */
let entered: { name: string; production: Production } | undefined

/** What leads a command that is to be typed into the same one. */
export const environmentFlag = (): string => (entered ? ` --env ${entered.name}` : '')

export const environmentName = (): string | undefined => entered?.name

/** Where production is, for a command in an environment of it. */
export const productionPlace = (): Production | undefined => entered?.production

/**
 * Lets the process work in an environment, where NIGHTFREIGHT_ENV names one: its home folder takes the place of production's,
 * and what leads to production is out of reach. A name that has a file of variables only changes nothing here. `flag`: the name
 * was typed.
 */
export async function enterEnvironment(command: string, folders: string[], flag: boolean): Promise<void> {
  const name = process.env.NIGHTFREIGHT_ENV
  if (!name) return
  const { declaredIn, environmentsIn, workplaceOf } = await import('../runs/environment.ts')
  const byName = BY_NAME.includes(command)
  const known = environmentsIn(homeFolder())
  const nothing = `nothing has run in an environment ${name}`
  const declared = byName ? [] : folders.flatMap(declaredIn)
  if (!(byName ? known : declared).includes(name)) {
    // Before production is told of a run that could not be begun.
    const { environmentOf } = await import('../config/environment.ts')
    for (const folder of folders.filter(
      each => existsSync(join(each, 'job.yaml')) && declaredIn(each).length > 0,
    ))
      environmentOf(folder, process.env, declaredIn(folder))
    if (byName && flag && known.length > 0) {
      const { didYouMean } = await import('../../engine/nearest.ts')
      throw new EngineError('CONFIG_INVALID', `${nothing}${didYouMean(name, known)}`, {
        hint: `There are: ${known.join(', ')}.`,
      })
    }
    if (byName && flag) process.stderr.write(`${nothing}: this is production\n`)
    return
  }
  if (!KNOWING.includes(command))
    throw new EngineError(
      'CONFIG_INVALID',
      `nightfreight ${command} works on production, and ${name} is an environment`,
      {
        hint: 'Leave --env and NIGHTFREIGHT_ENV out.',
      },
    )
  const { home, env, production } = workplaceOf(name, process.env, homeFolder())
  for (const variable of Object.keys(process.env))
    if (!Object.hasOwn(env, variable)) delete process.env[variable]
  process.env.NIGHTFREIGHT_HOME = home
  entered = { name, production }
  process.stderr.write(`environment ${name}: its state is in ${home}\n`)
}
