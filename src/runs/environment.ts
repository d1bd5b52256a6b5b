import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { environmentNames } from '../config/environments.ts'
import { readableIncluded } from '../config/include.ts'

type Env = Record<string, string | undefined>

/** Where production keeps what an environment of it reads. */
export interface Production {
  home: string
  /** METADATA_URL and STAGING_URL. */
  metadataUrl?: string
  stagingUrl?: string
}

/** Where commands work: in an environment that is not where production does. */
export interface Workplace {
  home: string
  env: Env
  production: Production
}

/** What leads to places of production: its state, and whoever watches it. */
const OF_PRODUCTION =
  /^(METADATA_URL|STAGING_URL|OPENLINEAGE_URL|NIGHTFREIGHT_METRICS|NIGHTFREIGHT_URL|OTEL_EXPORTER_OTLP_.*)$/

/** The home folders of environments, by their names. */
const homesIn = (home: string) => join(home, 'environments')

/** Environments that runs have been in. */
export const environmentsIn = (home: string): string[] =>
  existsSync(homesIn(home)) ? readdirSync(homesIn(home)) : []

/** Where an environment works, whose production is in `home`. */
export function workplaceOf(name: string, env: Env, home: string): Workplace {
  const own = Object.entries(env).filter(([variable]) => !OF_PRODUCTION.test(variable))
  const { METADATA_URL: metadataUrl, STAGING_URL: stagingUrl } = env
  return {
    home: join(homesIn(home), name),
    env: Object.fromEntries(own),
    production: { home, ...(metadataUrl && { metadataUrl }), ...(stagingUrl && { stagingUrl }) },
  }
}

/** What leads a command into the environment whose home folder this is; nothing of production's. */
export function flagOf(home: string): string {
  const name = basename(home)
  return home === join(homesIn(dirname(dirname(home))), name) ? ` --env ${name}` : ''
}

/** Says in a home folder that it is an environment's. */
const MARK = 'environment'

/** The environment whose home folder this is. */
export function environmentOfHome(home: string): string | undefined {
  const mark = join(home, MARK)
  return existsSync(mark) ? readFileSync(mark, 'utf8') : undefined
}

export const markHome = (home: string, name: string): void => writeFileSync(join(home, MARK), name)

/** Environments that a job declares, or those in a folder do. */
export function declaredIn(folder: string): string[] {
  const jobs = [folder, ...subfolders(folder)].filter(each => existsSync(join(each, 'job.yaml')))
  return jobs.flatMap(job => {
    const yaml = readFileSync(join(job, 'job.yaml'), 'utf8')
    return environmentNames([yaml, ...readableIncluded(job, yaml).map(({ text }) => text)])
  })
}

function subfolders(folder: string): string[] {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries.filter(entry => entry.isDirectory()).map(({ name }) => join(folder, name))
}
