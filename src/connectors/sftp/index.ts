import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { DROP_CAPABILITIES } from '../../drops/capabilities.ts'
import { dropOptions } from '../../drops/options.ts'
import { DropSource } from '../../drops/source.ts'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { privateKeyText } from './privateKey.ts'
import type { SftpAccess } from './session.ts'
import { SftpStore } from './store.ts'

const text = z.string().min(1)
const fingerprint = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, {
  error: 'expected a fingerprint as ssh-keygen -l shows it: SHA256:…',
})

export const sftpConfig = z.strictObject({
  /** `sftp://user:password@host:port/folder`; user and password percent-encoded. */
  url: z.url({ protocol: /^sftp$/ }),
  password: text.optional(),
  /** A file below the job's folder or ~, or the key itself. */
  private_key: text.optional(),
  passphrase: text.optional(),
  /** Socket of an agent, or true for the one that SSH_AUTH_SOCK names. */
  agent: z.union([z.boolean(), text]).optional(),
  /** Fingerprints of the server's key. */
  host_key: z.union([fingerprint, z.array(fingerprint).min(1)]).optional(),
  /** A known_hosts file. */
  known_hosts: text.optional(),
  /** Seconds without an answer. */
  timeout: z.number().positive().default(30),
})

/** Files on an SFTP server as a source. */
export const sftp = defineConnector({
  name: 'sftp',
  schemes: ['sftp'],
  config: sftpConfig,
  extract: dropOptions,
  capabilities: DROP_CAPABILITIES,
  declared: ({ schema }) => schema,
  types: [],
  check: (config, context) => void sftpAccess(config, context),
  source: (config, context) =>
    new DropSource({
      module: moduleBeside(import.meta.url, 'lane'),
      access: sftpAccess(config, context),
      openStore: access => new SftpStore(access),
      extracts: context.extracts,
    }),
})

/** What a session needs, from what a job says. Fails with CONFIG_INVALID where a file that it names is not there. */
export function sftpAccess(config: z.infer<typeof sftpConfig>, context: ConnectionContext): SftpAccess {
  const url = new URL(config.url)
  const { agent, private_key: key, host_key: keys = [], known_hosts: known } = config
  const isText = key?.includes('PRIVATE KEY')
  return {
    name: context.name,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 22),
    user: decodeURIComponent(url.username),
    password: config.password ?? (url.password === '' ? undefined : decodeURIComponent(url.password)),
    privateKey:
      key === undefined
        ? undefined
        : privateKeyText(
            `connections.${context.name}.private_key`,
            isText ? key : fileText(context, 'private_key', key),
            config.passphrase,
          ),
    passphrase: config.passphrase,
    agent: agent === true ? process.env.SSH_AUTH_SOCK : agent === false ? undefined : agent,
    hostKeys: {
      fingerprints: Array.isArray(keys) ? keys : [keys],
      ...(known !== undefined && { knownHosts: fileText(context, 'known_hosts', known) }),
    },
    folder: decodeURIComponent(url.pathname) || '/',
    timeout: config.timeout,
  }
}

function fileText({ name, baseDir }: ConnectionContext, key: string, file: string): string {
  const path = resolve(baseDir, file.replace(/^~(?=\/)/, homedir()))
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new EngineError('CONFIG_INVALID', `connections.${name}.${key}: ${path} cannot be read`, { cause })
  }
}
