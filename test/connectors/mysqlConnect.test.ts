import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import mysql from 'mysql2/promise'
import { EngineError } from '../../engine/errors.ts'
import { ask, connect, disconnect } from '../../src/connectors/mysql/connect.ts'
import { mysql as connector } from '../../src/connectors/mysql/index.ts'
import { startMariadb } from '../../src/demo/servers/mariadb.ts'
import { freshMariadb } from '../servers.ts'
import { failsWith, openLanes, readTable, signal, source, spec } from './mysqlRead.ts'

/** A certificate authority in `dir`: `NAME.pem`, and a key beside it. */
function authority(dir: string, name: string): void {
  openssl(dir, `req -x509 ${KEY} -keyout ${name}.key -out ${name}.pem -subj /CN=${name} -days 2`)
}

/** A server's certificate for 127.0.0.1 and db.example, signed by the authority `ca`. */
function certificate(dir: string, ca: string): void {
  writeFileSync(join(dir, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:db.example\n')
  openssl(dir, `req ${KEY} -keyout server.key -out server.csr -subj /CN=db.example`)
  openssl(
    dir,
    `x509 -req -in server.csr -CA ${ca}.pem -CAkey ${ca}.key -CAcreateserial -out server.pem -days 2 -extfile names`,
  )
  // The server reads them as another user.
  chmodSync(join(dir, 'server.key'), 0o644)
}
const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
const openssl = (cwd: string, line: string) =>
  execFileSync('openssl', line.split(' '), { cwd, stdio: 'pipe' })

describe('mysql over TLS, on a server of few connections', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nightfreight-tls-'))
  chmodSync(dir, 0o755)
  authority(dir, 'ours')
  authority(dir, 'theirs')
  certificate(dir, 'ours')
  const file = (name: string) => join(dir, name)
  const settings = {
    'ssl-ca': file('ours.pem'),
    'ssl-cert': file('server.pem'),
    'ssl-key': file('server.key'),
  }
  const server = await startMariadb({ dir, settings: { ...settings, 'max-connections': '10' } })
  after(async () => {
    await server.stop()
    rmSync(dir, { recursive: true })
  })
  const url = (mode: string, ca?: string, host = '127.0.0.1') => {
    const full = new URL(server.url)
    full.hostname = host
    full.searchParams.set('ssl-mode', mode)
    if (ca) full.searchParams.set('ssl-ca', file(ca))
    return full.href
  }
  const cipher = async (address: string) => {
    const session = await connect({ name: 'legacy', url: address })
    const [row] = await ask(session, "SHOW STATUS LIKE 'Ssl_cipher'")
    await disconnect(session)
    return row!.Value
  }

  it('encrypts where asked, and verifies issuer and host where asked', async () => {
    assert.equal(await cipher(server.url), '')
    assert.equal(await cipher(url('DISABLED')), '')
    for (const good of [url('REQUIRED'), url('verify_ca', 'ours.pem'), url('VERIFY_IDENTITY', 'ours.pem')])
      assert.match((await cipher(good))!, /AES|CHACHA/)
    assert.match((await cipher(url('VERIFY_CA', 'ours.pem', 'localhost')))!, /AES|CHACHA/)
    const refused = failsWith('AUTH_FAILED', /^legacy: /)
    // REQUIRED with an authority verifies, as MySQL's own clients do; without one the public ones are asked.
    for (const mode of ['REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'])
      await assert.rejects(cipher(url(mode, 'theirs.pem')), refused)
    await assert.rejects(cipher(url('VERIFY_CA')), refused)
    await assert.rejects(cipher(url('VERIFY_IDENTITY', 'ours.pem', 'localhost')), refused)
  })

  it('reads a table through TLS', async () => {
    const client = await mysql.createConnection(server.url)
    await client.query(
      "create table t (id int primary key, v varchar(300)) select seq as id, repeat('x', seq % 300) as v from seq_1_to_20000",
    )
    await client.end()
    const { rows } = await readTable(url('VERIFY_IDENTITY', 'ours.pem'), 't')
    assert.equal(rows.length, 20_000)
    for (const [id, v] of rows) if (v!.length !== Number(id) % 300) assert.fail(`row ${id}: ${v}`)
  })

  it('takes a relative ssl-ca from the job folder', async () => {
    const relative = url('VERIFY_CA').concat('&ssl-ca=ours.pem')
    await connector.source!({ url: relative }, { name: 'legacy', baseDir: dir }).probe(signal)
  })

  it('says that the server has no connection left', async () => {
    const taken = await Promise.allSettled(
      Array.from({ length: 12 }, () => mysql.createConnection(server.url)),
    )
    try {
      await assert.rejects(
        source(server.url).probe(signal),
        failsWith('RESOURCE_EXHAUSTED', /^legacy: Too many/),
      )
    } finally {
      for (const one of taken) if (one.status === 'fulfilled') await one.value.end()
    }
  })
})

describe('mysql failures', async () => {
  const db = await freshMariadb()

  it('refuses a URL it does not understand, without the password', async () => {
    const base = 'mysql://u:s3cret@127.0.0.1/d'
    for (const end of ['?ssl-mode=PREFERRED', '?ssl=true', '?ssl-mode=VERIFY_CA&ssl-ca=/no/such/file'])
      await assert.rejects(source(base + end).probe(signal), (error: Error) => {
        assert.doesNotMatch(String(error.stack), /s3cret/)
        return failsWith('CONFIG_INVALID', /^legacy: /)(error)
      })
    await assert.rejects(
      source(`${db.url}?ssl-mode=REQUIRED`).probe(signal),
      failsWith('CONFIG_INVALID', /secure/),
    )
  })

  it("maps the server's limits", async () => {
    const user = `l_${db.name.slice(-8)}`
    await db.query(`create user '${user}'@'%' identified by 'x' with max_statement_time 0.2 max_user_connections 4;
      grant select on ${db.name}.* to '${user}'@'%';
      create view slow as select seq as id, repeat('x', 300) as v, sleep(0.001) as s from seq_1_to_5000`)
    const url = new URL(db.url)
    url.username = user
    url.password = 'x'
    try {
      await assert.rejects(readTable(url.href, 'slow', { lanes: 1 }), (error: EngineError) => {
        assert.match(error.hint!, /max_statement_time/)
        assert.ok(error.retryable)
        return failsWith('TIMEOUT', /^legacy: /)(error)
      })
      const held = await Promise.all([1, 2, 3, 4].map(() => connect({ name: 'held', url: url.href })))
      await assert.rejects(source(url.href).probe(signal), failsWith('RESOURCE_EXHAUSTED', /^legacy: /))
      for (const session of held) await disconnect(session)
    } finally {
      await db.query(`drop user '${user}'@'%'`)
    }
  })

  it('calls a table that changed under the snapshot, and a deadlock, worth another attempt', async () => {
    await db.query('create table turning (id int primary key); insert into turning values (1), (2)')
    const from = source(db.url)
    const schema = await from.describe(spec('turning'), signal)
    const snapshot = await from.open(1, signal, [])
    const [lane] = await openLanes(snapshot)
    await db.query(
      'drop table turning; create table turning (id int primary key); insert into turning values (1), (2)',
    )
    const read = {
      extract: 't',
      where: 'legacy.turning',
      ...schema,
      options: { table: 'turning' },
      limits: { rows: 9, bytes: 999 },
    }
    const nowhere = { write() {}, file: async () => {}, note() {} }
    await assert.rejects(
      lane!.read(read, { label: 'all rows', payload: {} }, 1000, nowhere, new AbortController().signal),
      (error: EngineError) => {
        assert.ok(error.retryable && error.hint)
        return failsWith('DEADLOCK', /^legacy: /)(error)
      },
    )
    await lane!.close()
    await snapshot.close()

    const [a, b] = [await connect({ name: 'a', url: db.url }), await connect({ name: 'b', url: db.url })]
    for (const [session, id] of [
      [a, 1],
      [b, 2],
    ] as const) {
      await ask(session, 'start transaction')
      await ask(session, `update turning set id = id where id = ${id}`)
    }
    const results = await Promise.allSettled([
      ask(a, 'select * from turning where id = 2 for update'),
      ask(b, 'select * from turning where id = 1 for update'),
    ])
    const [victim] = results.filter(result => result.status === 'rejected')
    assert.ok(victim && victim.reason instanceof EngineError && victim.reason.code === 'DEADLOCK')
    await Promise.all([disconnect(a), disconnect(b)])
  })

  it('names the connection when the server goes away amid a read', async () => {
    await db.query("create view endless as select a.seq as id, repeat('y', 500) as v from seq_1_to_1000000 a")
    const from = source(db.url)
    const schema = await from.describe(spec('endless'), signal)
    const snapshot = await from.open(1, signal, [])
    const [lane] = await openLanes(snapshot)
    let killed: Promise<unknown> | undefined
    const read = {
      extract: 't',
      where: 'legacy.endless',
      ...schema,
      options: { table: 'endless' },
      limits: { rows: 100, bytes: 1e6 },
    }
    const kill = async () => {
      const busy = await db.query(
        'select id from information_schema.processlist where db = database() and id <> connection_id()',
      )
      for (const { id } of busy) await db.query(`kill ${id}`)
    }
    const write = () => {
      killed ??= kill()
    }
    const sink = { write, file: async () => {}, note() {} }
    await assert.rejects(
      lane!.read(read, { label: 'all rows', payload: {} }, 1000, sink, new AbortController().signal),
      failsWith('CONNECTION_LOST', /^legacy: /),
    )
    await killed
    await lane!.close()
    await snapshot.close()
  })
})
