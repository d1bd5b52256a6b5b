import { createPrivateKey, type KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'
import type ssh2 from 'ssh2'
import { EngineError } from '../../../engine/errors.ts'

/**
 * A private key as the SSH library reads it, which does not know PKCS#8 (`BEGIN PRIVATE KEY`), as openssl and the
 * consoles of clouds make it. Fails with CONFIG_INVALID; `where` is the connection's setting.
 */
export function privateKeyText(where: string, text: string, passphrase: string | undefined): string {
  const invalid = (what: string, hint: string) =>
    new EngineError('CONFIG_INVALID', `${where}: ${what}`, { hint })
  // Loaded by those that have a key: it takes as long as a short command.
  const { utils } = createRequire(import.meta.url)('ssh2') as typeof ssh2
  const parsed = utils.parseKey(text, passphrase)
  const [key] = Array.isArray(parsed) ? parsed : [parsed]
  if (key && !(key instanceof Error)) {
    if (key.isPrivateKey()) return text
    throw invalid('it is a public key', 'Name the private one: the file without .pub.')
  }
  try {
    return converted(createPrivateKey({ key: text, ...(passphrase !== undefined && { passphrase }) }))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const locked =
      /ENCRYPTED|passphrase/.test(`${text.slice(0, 200)} ${key?.message}`) ||
      code === 'ERR_MISSING_PASSPHRASE'
    if (locked && passphrase === undefined)
      throw invalid('the key needs a passphrase', 'Write passphrase: beside private_key, from a variable.')
    if (locked) throw invalid('passphrase: does not fit the key', 'Correct passphrase:.')
    throw invalid(
      'it is no private key that can be read',
      'It must be in the form of OpenSSH, PEM or PKCS#8. Convert a copy of it: ssh-keygen -p -f FILE',
    )
  }
}

function converted(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }) as string
    case 'ec':
      return key.export({ type: 'sec1', format: 'pem' }) as string
    case 'ed25519':
      return openssh(key)
    default:
      throw new Error(`no SSH key: ${key.asymmetricKeyType}`)
  }
}

/** An Ed25519 key in OpenSSH's own form, the only one there is for it (its PROTOCOL.key). */
function openssh(key: KeyObject): string {
  const { d, x } = key.export({ format: 'jwk' })
  const [secret, open] = [Buffer.from(d!, 'base64url'), Buffer.from(x!, 'base64url')]
  const type = field('ssh-ed25519')
  // Twice the same number: how a decryption is found to be right.
  const secrets = Buffer.concat([
    Buffer.alloc(8),
    type,
    field(open),
    field(Buffer.concat([secret, open])),
    field(''),
  ])
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7]).subarray(0, -secrets.length & 7)
  const bytes = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...['none', 'none', ''].map(field),
    Buffer.from([0, 0, 0, 1]),
    field(Buffer.concat([type, field(open)])),
    field(Buffer.concat([secrets, padding])),
  ])
  const lines = bytes.toString('base64').replace(/.{70}/g, '$&\n')
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`
}

function field(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes as Buffer)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  return Buffer.concat([length, content])
}
