import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { environmentOf } from '../config/environment.ts'
import { readableIncluded } from '../config/include.ts'

type Environment = Record<string, string | undefined>

/** Variables that are read by what a job's settings name, each where something of its kind stands there. */
const READ_BY: [settings: RegExp, names: RegExp][] = [
  [/s3:|\$\{aws-/, /^AWS_/],
  [/\$\{vault:/, /^VAULT_/],
  [/\$\{azure:/, /^AZURE_/],
  [/\$\{gcp:/, /^GOOGLE_APPLICATION_CREDENTIALS$/],
  [/postgres(ql)?:/, /^PG[A-Z]+$/],
  [/sftp:/, /^SSH_AUTH_SOCK$/],
  [/https?:|s3:/, /^(https?_proxy|no_proxy|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS)$/i],
]
/** Read for each job. */
const ALWAYS = /^(METADATA_URL|STAGING_URL|NIGHTFREIGHT_MASK_KEY)$/

/**
 * Variables that a plain shell lacks and a command for the job in `folder` needs, with the values that `env` has; by name,
 * since they may be secret. What files beside the job give is not needed. Sorted.
 */
export function neededVariables({ folder, env }: { folder: string; env: Environment }): string[] {
  const files = filesOf(folder, env)
  const yaml = settingsIn(join(folder, 'job.yaml'))
  const included = readableIncluded(folder, yaml).map(({ text }) => withoutComments(text))
  const own = [yaml, ...included].join('\n')
  const shared = settingsIn(join(folder, '../connections.yaml'))
  const all = `${own}\n${shared}`
  const referenced = references(all).filter(name => env[name] !== undefined && env[name] !== files[name])
  const missing = references(own, '}').filter(name => env[name] === undefined && files[name] === undefined)
  const texts = [all, env.STAGING_URL, ...references(all).map(name => env[name] ?? files[name])].join('\n')
  const read = READ_BY.filter(([kind]) => kind.test(texts)).map(([, names]) => names)
  const set = Object.keys(env).filter(name => env[name] && [ALWAYS, ...read].some(names => names.test(name)))
  return [...new Set([...set, ...referenced, ...missing])].sort()
}

/** What a text takes from the environment, within defaults, too; `end`: only where it ends so, without a default. */
const references = (text: string, end = ':-|\\}') =>
  [...text.matchAll(new RegExp(`(?<!\\$)\\$\\{([A-Za-z_]\\w*)(?:${end})`, 'g'))].map(([, name]) => name!)

/** What .env files beside the job give. */
function filesOf(folder: string, { NIGHTFREIGHT_ENV }: Environment): Environment {
  try {
    return environmentOf(folder, { NIGHTFREIGHT_ENV })
  } catch {
    // That they cannot be read may be what is to be told.
    return {}
  }
}

const withoutComments = (text: string) => text.replace(/^\s*#.*$/gm, '')

function settingsIn(path: string): string {
  try {
    return withoutComments(readFileSync(path, 'utf8'))
  } catch {
    return ''
  }
}
