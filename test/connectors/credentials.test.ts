// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { serving } from './http/serving.ts'

const { signal } = new AbortController()
const folder = mkdtempSync(join(tmpdir(), 'nightfreight-credentials-'))
after(() => rmSync(folder, { recursive: true }))

/** A job with one connection, as job.yaml has it. */
async function connection(settings: object | string, env: Record<string, string> = {}) {
  const yaml = { job: 'j', connections: { it: settings }, extract: {}, load: {} }
  writeFileSync(join(folder, 'job.yaml'), JSON.stringify(yaml))
  const { connections } = await loadJob(folder, env)
  return connections.it!
}

async function probe(settings: object | string, env?: Record<string, string>): Promise<void> {
  const { connector, config, context } = await connection(settings, env)
  const source = connector.source!(config, context)
  try {
    await source.probe(signal)
  } finally {
    await source.close()
  }
}

const PASSWORDS = ['p@ss/w#r%d?x: é', '50%', '%41', '+ &=', 'a:b', '"\'\\', '$1']

test('any password is taken as it is: apart from the URL, and from a variable within it', async () => {
  const postgres = await freshPostgres()
  const mariadb = await freshMariadb()
  const role = `${postgres.name}_reader`
  await postgres.query(`CREATE ROLE ${role} LOGIN`)
  await mariadb.query(
    `CREATE USER IF NOT EXISTS nf_reader@'%'; GRANT SELECT ON ${mariadb.name}.* TO nf_reader@'%'`,
  )
  try {
    for (const password of PASSWORDS) {
      const literal = `'${password.replaceAll("'", "''")}'`
      await postgres.query(`ALTER ROLE ${role} PASSWORD ${literal}`)
      await mariadb.query(`SET PASSWORD FOR nf_reader@'%' = PASSWORD(${literal.replaceAll('\\', '\\\\')})`)
      for (const [url, user] of [
        [postgres.url, role],
        [mariadb.url, 'nf_reader'],
      ] as const) {
        const { protocol, host, pathname } = new URL(url)
        const bare = `${protocol}//${host}${pathname}`
        await probe({ url: bare, user, password })
        await probe({ url: `${protocol}//${user}@${host}${pathname}`, password: '${PW}' }, { PW: password })
        await probe(`${protocol}//${user}:\${PW}@${host}${pathname}`, { PW: password })
        await probe(`${protocol}//\${BOTH}@${host}${pathname}`, { BOTH: `${user}:${password}` })
        await assert.rejects(probe({ url: bare, user, password: `${password}x` }), { code: 'AUTH_FAILED' })
        const none = /none is given|using password: NO/
        await assert.rejects(probe({ url: bare, user }), (error: EngineError) => {
          assert.match(error.message, none)
          assert.match(error.hint!, /password: beside the URL/)
          assert.deepEqual([error.code, error.exitCode], ['AUTH_FAILED', 2])
          return true
        })
      }
      const right = `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
      await serving(
        ({ headers }, _url, response) =>
          response.writeHead(headers.authorization === right ? 200 : 401).end('{}'),
        async origin => {
          await probe({ url: origin, user: 'me', password })
          await probe(origin.replace('//', '//me:${PW}@'), { PW: password })
        },
      )
    }
  } finally {
    await postgres.query(`DROP ROLE ${role}`)
    await mariadb.query(`DROP USER nf_reader@'%'`)
  }
})

test('a URL whose password cannot stand in it is refused before anything is asked, without a part of it', async () => {
  for (const scheme of ['postgres', 'mysql', 'sftp', 'http', 's3'])
    for (const [password, found] of [
      ['fifty%off', 'fifty'],
      ['sla/sh#w', 'sla'],
    ] as const) {
      if (password.includes('/') && !['postgres', 'mysql', 's3'].includes(scheme)) continue
      await assert.rejects(
        connection(`${scheme}://user:${password}@127.0.0.1/db`),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.doesNotMatch(error.message, new RegExp(found))
          assert.match(error.message, /connections\.it(\.url)?: .*(password|secret_key)/)
          return true
        },
        scheme,
      )
    }
  for (const settings of [
    { url: 'mysql://u:a@h/d', password: 'b' },
    { url: 'postgres://u@h/d', user: 'v' },
    { url: 'postgres://u@h/d', cert: 'c.pem' },
  ])
    await assert.rejects(connection(settings), { code: 'CONFIG_INVALID' })
})
