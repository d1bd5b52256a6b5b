import { readFileSync } from 'node:fs'
import { join } from 'node:path'

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
 * since they may be secret. Sorted.
 */
export function neededVariables({ folder, env }: { folder: string; env: Environment }): string[] {
  const settings = readSettings(folder)
  const referenced = references(settings).filter(({ name, hasDefault }) => env[name] || !hasDefault)
  const texts = [settings, env.STAGING_URL ?? '', ...referenced.map(({ name }) => env[name] ?? '')].join('\n')
  const read = READ_BY.filter(([kind]) => kind.test(texts)).map(([, names]) => names)
  const set = Object.keys(env).filter(name => env[name] && [ALWAYS, ...read].some(names => names.test(name)))
  return [...new Set([...set, ...referenced.map(({ name }) => name)])].sort()
}

/** What a text takes from the environment, within defaults, too. */
const references = (text: string) =>
  [...text.matchAll(/(?<!\$)\$\{([A-Za-z_]\w*)(:-|\})/g)].map(([, name, end]) => ({
    name: name!,
    hasDefault: end === ':-',
  }))

function readSettings(folder: string): string {
  try {
    return readFileSync(join(folder, 'job.yaml'), 'utf8').replace(/^\s*#.*$/gm, '')
  } catch {
    return ''
  }
}
