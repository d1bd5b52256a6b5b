import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { privateKeyText } from '../../src/connectors/sftp/privateKey.ts'
import { startAsyncssh } from '../asyncssh.ts'
import { night } from './nights.ts'
import { localPlace, sftpPlace, sshdFor, testFolder } from './places.ts'

const folder = testFolder()
const sshd = await sshdFor(folder)
const asked = { files: '*.csv', schema: { id: 'BIGINT' } }
const PASSPHRASE = 'pass phrase'
const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/** Private keys in each form that tools make, by name; those with a passphrase say so. */
const KEYS = {
  'pkcs8-rsa': 'genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048',
  'pkcs8-ec': 'genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1',
  'pkcs8-ed25519': 'genpkey -algorithm ED25519',
  'pkcs8-rsa-locked': 'genpkey -algorithm RSA -aes-256-cbc -pass',
  'pkcs8-ed25519-locked': 'genpkey -algorithm ED25519 -aes-256-cbc -pass',
  'pem-rsa': 'rsa',
  'openssh-ecdsa': 'ecdsa',
  'openssh-ed25519-locked': 'ed25519',
}

/** Those that are tried on the server: one of each kind of conversion. */
const LOGINS = ['pkcs8-rsa', 'pkcs8-ec', 'pkcs8-ed25519-locked']

function makeKey(name: string, how: string): string {
  const file = join(folder, name)
  const locked = name.endsWith('-locked')
  if (how.startsWith('genpkey'))
    run('openssl', ...how.split(' '), ...(locked ? [`pass:${PASSPHRASE}`] : []), '-out', file)
  else
    run(
      'ssh-keygen',
      '-q',
      '-t',
      how,
      '-N',
      locked ? PASSPHRASE : '',
      ...(name.startsWith('pem') ? ['-m', 'PEM'] : []),
      '-f',
      file,
    )
  return file
}

test('a private key in any form logs in, and one that cannot is told from a connection that was lost', async () => {
  const drop = join(folder, 'keys')
  await sftpPlace(drop, sshd).put('a.csv', 'id\n1\n')
  for (const [name, how] of Object.entries(KEYS)) {
    const file = makeKey(name, how)
    const passphrase = name.endsWith('-locked') ? PASSPHRASE : undefined
    // What was read of it is the same key, as OpenSSH sees it.
    const text = privateKeyText('key', readFileSync(file, 'utf8'), passphrase)
    const read = join(folder, `${name}.read`)
    writeFileSync(read, text, { mode: 0o600 })
    const known = name.startsWith('pkcs8') ? read : file
    const open = run('ssh-keygen', '-y', '-P', passphrase && known === file ? passphrase : '', '-f', known)
    appendFileSync(join(folder, 'ssh', 'authorized'), open)
    if (LOGINS.includes(name)) {
      const place = sftpPlace(drop, sshd, { private_key: file, ...(passphrase && { passphrase }) })
      assert.deepEqual((await night(place, asked)).rows, [['1']], name)
    }
    if (!passphrase) continue
    for (const [wrong, message] of [
      [{}, /^connections\.drop\.private_key: the key needs a passphrase/],
      [{ passphrase: 'other' }, /passphrase: does not fit the key/],
    ] as const)
      await assert.rejects(
        night(sftpPlace(drop, sshd, { private_key: file, ...wrong }), asked),
        { code: 'CONFIG_INVALID', message },
        name,
      )
  }
  for (const [text, message] of [
    ['no key', /no private key that can be read/],
    [readFileSync(join(folder, 'ssh', 'client.pub'), 'utf8'), /is a public key/],
  ] as const)
    assert.throws(() => privateKeyText('connections.drop.private_key', text, undefined), {
      code: 'CONFIG_INVALID',
      message,
    })
})

test('the host key that is known is asked for, though the server shows another first', async () => {
  const drop = join(folder, 'hosts')
  await sftpPlace(drop, sshd).put('a.csv', 'id\n1\n')
  const place = (hostKey: string | string[]) => sftpPlace(drop, sshd, { host_key: hostKey })
  for (const known of [sshd.rsaHostKey, sshd.hostKey, [`SHA256:${'A'.repeat(43)}`, sshd.rsaHostKey]])
    assert.deepEqual((await night(place(known), asked)).rows, [['1']])
  await assert.rejects(night(place(`SHA256:${'A'.repeat(43)}`), asked), {
    code: 'TLS_FAILED',
    message: /shows the host key SHA256:\S+, which is not the known one/,
  })
})

test('many small files come at the speed of the line, not of delayed acknowledgements', async () => {
  const place = sftpPlace(join(folder, 'many'), sshd)
  for (let index = 0; index < 400; index++) await place.put(`${index}.csv`, `id\n${index}\n`)
  const began = performance.now()
  const { rows } = await night(place, asked)
  assert.equal(new Set(rows.map(([id]) => id)).size, 400)
  assert.ok(performance.now() - began < 12_000, `${performance.now() - began} ms`)
})

test('a password answers one hidden question; a server that allows large reads gives whole files', async () => {
  const hostKey = join(folder, 'ssh', 'host')
  const server = await startAsyncssh(hostKey)
  after(() => server.stop())
  const drop = join(folder, 'asked')
  const place = (user: string, password: string) =>
    sftpPlace(drop, { ...sshd, ...server, user }, { private_key: undefined, password })
  await sftpPlace(drop, sshd).put('a.csv', 'id\n1\n')
  const lines = Array.from({ length: 30_000 }, (_, index) => String(index).padStart(100, '0'))
  await sftpPlace(drop, sshd).put('large.txt', `id\n${lines.join('\n')}\n`)
  assert.deepEqual((await night(place('one', 's3cret pass'), asked)).rows, [['1']])
  const { rows } = await night(place('one', 's3cret pass'), { files: '*.txt', schema: { id: 'VARCHAR' } })
  assert.deepEqual(
    rows.map(([id]) => id),
    lines,
  )
  await assert.rejects(night(place('one', 'wrong'), asked), { code: 'AUTH_FAILED' })
  await assert.rejects(night(place('two', 's3cret pass'), asked), {
    code: 'AUTH_FAILED',
    message: /the server asked: "Colour:", "Code:"/,
  })
})

test('files are found whatever the lines of a listing look like; what is no file is told', async () => {
  const drop = join(folder, 'lines')
  const own = sftpPlace(drop, sshd)
  for (const name of ['a.csv', 'data.csv', 'link.csv', 'deep/b.csv'])
    await own.put(name, `id\n${name.length}\n`)
  run('mkfifo', join(drop, 'pipe.csv'))
  run('ln', '-s', 'deep', join(drop, 'linked.csv'))
  const notes = [
    'linked.csv/ is a link to a folder, which is not followed: a connection with that folder reads it',
    'pipe.csv is neither a file nor a folder, and passed over',
  ]
  const local = localPlace(drop)
  const login = { private_key: undefined, password: 's3cret pass' }
  for (const line of [undefined, '', '? ', '12-30-2026 ']) {
    const server = await startAsyncssh(join(folder, 'ssh', 'host'), line)
    try {
      for (const place of [local, own, sftpPlace(drop, { ...sshd, ...server, user: 'one' }, login)])
        for (const [files, ids] of [
          ['*.csv', ['5', '8', '8']],
          ['**/*.csv', ['10', '5', '8', '8']],
        ] as const) {
          const found = await night(place, { ...asked, files })
          assert.deepEqual(found.rows.flat().sort(), ids, `${place.name} ${line} ${files}`)
          assert.deepEqual(found.notes.toSorted(), notes, `${place.name} ${line} ${files}`)
        }
    } finally {
      server.stop()
    }
  }
})
