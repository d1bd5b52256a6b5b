import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CreateMultipartUploadCommand, S3Client as Sdk } from '@aws-sdk/client-s3'
import { BucketStore } from '../../src/stores/bucket.ts'
import { FolderStore } from '../../src/stores/folder.ts'
import { S3Client } from '../../src/stores/s3/client.ts'
import { s3Access, s3Config } from '../../src/stores/s3/settings.ts'
import type { FileStore } from '../../src/stores/store.ts'
import { startS3 } from '../s3.ts'

const folder = mkdtempSync(join(tmpdir(), 'nf-stores-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const server = await startS3()
after(() => server.stop())
await server.bucket('store')

const client = (more: object, url = 's3://store/a') => {
  const made = new S3Client(s3Access(s3Config.parse({ url, endpoint: server.endpoint, ...more }), 's3'))
  after(() => made.close())
  return made
}
const keys = { access_key: 'test', secret_key: 'test' }

/** A server that accepts all, keeps what it was told, and answers STS with a role's keys. */
async function listener() {
  const seen: { method: string; url: string; headers: IncomingHttpHeaders; body: string }[] = []
  const answering = createServer((asked, answer) => {
    let body = ''
    asked.on('data', piece => {
      body += piece
    })
    asked.on('end', () => {
      const { method = '', url = '', headers } = asked
      seen.push({ method, url, headers, body })
      if (body.includes('Action=AssumeRole')) {
        answer.setHeader('content-type', 'text/xml')
        answer.end(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
          <AccessKeyId>ROLEKEY</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
          <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
      } else if (headers['x-amz-copy-source']) {
        answer.end('<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>')
      } else if (url.includes('uploads')) {
        answer.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')
      } else {
        answer.setHeader('etag', '"e"')
        answer.end(
          method === 'POST'
            ? '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
            : '',
        )
      }
    })
  }).listen(0, '127.0.0.1')
  await once(answering, 'listening')
  after(() => {
    answering.close()
    answering.closeAllConnections()
  })
  return { seen, endpoint: `http://127.0.0.1:${(answering.address() as AddressInfo).port}` }
}

test('keys come from a profile of the AWS files, from a role that it names, and from the environment', async () => {
  const { seen, endpoint } = await listener()
  const config = join(folder, 'config')
  const credentials = join(folder, 'credentials')
  writeFileSync(
    config,
    `[profile night]
region = eu-west-1
[profile loader]
role_arn = arn:aws:iam::123456789012:role/loader
source_profile = night
region = eu-west-1
`,
  )
  writeFileSync(credentials, '[night]\naws_access_key_id = FILEKEY\naws_secret_access_key = file-secret\n')
  const before = { ...process.env }
  Object.assign(process.env, {
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_ENDPOINT_URL_STS: endpoint,
    AWS_ACCESS_KEY_ID: 'ENVKEY',
    AWS_SECRET_ACCESS_KEY: 'env-secret',
  })
  try {
    for (const [more, key] of [
      [{ profile: 'night' }, 'FILEKEY'],
      [{ profile: 'loader' }, 'ROLEKEY'],
      [{}, 'ENVKEY'],
      [{ access_key: 'OWNKEY', secret_key: 'own' }, 'OWNKEY'],
    ] as const) {
      await client({ endpoint, ...more }).put('x', Buffer.from('x'))
      const { headers } = seen.at(-1)!
      assert.match(headers.authorization!, new RegExp(`Credential=${key}/`))
      assert.equal(headers['x-amz-security-token'], key === 'ROLEKEY' ? 'role-token' : undefined)
    }
    assert.ok(seen.some(({ body }) => body.includes('role%2Floader')))
  } finally {
    process.env = before
  }
})

test('encryption and Requester Pays are in every request that takes them', async () => {
  const { seen, endpoint } = await listener()
  const paying = client({ endpoint, ...keys, sse: 'aws:kms', kms_key: 'arn:key', requester_pays: true })
  const file = join(folder, 'large')
  writeFileSync(file, Buffer.alloc(17 * 1024 * 1024))
  await paying.put('x', Buffer.from('x'))
  await paying.putFile('y', file)
  await paying.copy({ key: 'x', size: 1, etag: '"e"', mtime: 0 }, 'z')
  await paying.head('x')
  await (await paying.read('x')).resume()
  await paying.remove('x')
  const writes = seen.filter(
    ({ method, url }) => (method === 'PUT' && !url.includes('partNumber')) || url.includes('uploads'),
  )
  assert.equal(writes.length, 3)
  for (const { headers, url } of writes) {
    assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms', url)
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'arn:key', url)
  }
  assert.ok(seen.length >= 8)
  for (const { headers, url, method } of seen)
    assert.equal(headers['x-amz-request-payer'], 'requester', `${method} ${url}`)
})

test('SlowDown is waited out, also in the middle of an upload', async () => {
  const slow = client(keys)
  let told = 0
  server.mischief = () => (++told <= 3 ? { code: 'SlowDown', status: 503 } : undefined)
  try {
    assert.ok(await slow.put('slow', Buffer.from('x')))
    assert.equal(told, 4)
    const file = join(folder, 'parts')
    writeFileSync(file, Buffer.alloc(40 * 1024 * 1024, 'x'))
    told = 0
    server.mischief = (_, url) =>
      url.includes('partNumber=2') && ++told === 1 ? { code: 'SlowDown', status: 503 } : undefined
    await slow.putFile('parts', file)
    assert.equal(told, 2)
    assert.equal((await slow.head('parts'))!.size, 40 * 1024 * 1024)
    assert.equal(await slow.abortUploads('', new Date(Date.now() + 1e6)), 0)
  } finally {
    server.mischief = undefined
  }
})

const bucket = () =>
  new BucketStore(
    s3Access(
      s3Config.parse({ url: `s3://store/${Math.random()}`, endpoint: server.endpoint, ...keys }),
      's3',
    ),
  )

test('a file that another process moves between two requests is one that is not there', async () => {
  const store = bucket()
  await store.put('moved', 'x'.repeat(100))
  const gone = { code: 'NoSuchKey', status: 404 }
  try {
    server.mischief = method => (method === 'GET' || method === 'PUT' ? gone : undefined)
    assert.equal(await store.local('moved'), undefined)
    await store.move('moved', 'elsewhere')
    // Half of it was read when it went.
    let asked = 0
    server.mischief = method => (method === 'GET' ? (++asked === 1 ? 'cut' : gone) : undefined)
    assert.equal(await store.local('moved'), undefined)
    assert.equal(asked, 2)
  } finally {
    server.mischief = undefined
  }
  assert.equal(await store.local('elsewhere'), undefined)
  assert.equal(readFileSync((await store.local('moved'))!, 'utf8').length, 100)
  await store.clear()
})

for (const [kind, open] of [
  ['folder', () => new FolderStore(mkdtempSync(join(folder, 's-')))],
  ['bucket', bucket],
] as [string, () => FileStore][])
  test(`${kind}: a file is put once, seen whole, listed, fetched and removed`, async () => {
    const store = open()
    await store.probe()
    assert.equal(await store.get('a/b'), undefined)
    const first = await Promise.all(
      Array.from({ length: 8 }, (_, index) => store.putIfAbsent('a/b', `${index}`)),
    )
    assert.equal(first.filter(Boolean).length, 1)
    assert.equal((await store.get('a/b'))!.toString(), String(first.indexOf(true)))
    await store.put('a/b', 'again')
    const work = await store.work('me')
    const file = join(work, 'big')
    const bytes = Buffer.alloc(20 * 1024 * 1024, 'y')
    writeFileSync(file, bytes)
    assert.equal(await store.local('a/c=1/big'), undefined)
    await store.putFile('a/c=1/big', file)
    const copy = (await store.local('a/c=1/big'))!
    assert.ok(readFileSync(copy).equals(bytes))
    assert.equal(await store.local('a/c=1/big'), copy, 'fetched once')
    await store.clear()
    assert.equal(existsSync(copy), false)
    assert.deepEqual((await store.list('a')).map(({ path, size }) => [path, size]).sort(), [
      ['a/b', 5],
      ['a/c=1/big', bytes.length],
    ])
    await store.delete('a/b')
    await store.delete('a/b')
    assert.equal(await store.local('a/b'), undefined)
    assert.equal(existsSync(work), true)
    await store.work('me')
    assert.equal(existsSync(work), false, 'what was left is gone')
    rmSync(await store.work('me'), { recursive: true })
  })

test('an error names the object as the bucket does, prefix and all', async () => {
  const below = client(keys, 's3://store/a/b')
  server.mischief = () => ({ code: 'AccessDenied', status: 403 })
  try {
    for (const act of [
      () => below.get('c'),
      () => below.list('c').next(),
      () => below.abortUploads('c', new Date()),
    ])
      await assert.rejects(act, /s3: s3:\/\/store\/a\/b\/c: AccessDenied/)
  } finally {
    server.mischief = undefined
  }
})

test('an upload that a kill cut off is abandoned by the next sweep, and nothing else is', async () => {
  const sdk = new Sdk({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  for (const Key of ['a/mine/x', 'a/other/y'])
    await sdk.send(new CreateMultipartUploadCommand({ Bucket: 'store', Key }))
  sdk.destroy()
  const store = new BucketStore(
    s3Access(s3Config.parse({ url: 's3://store/a', endpoint: server.endpoint, ...keys }), 's3'),
  )
  await store.sweep('mine', new Date())
  const left = client(keys)
  assert.equal(await left.abortUploads('mine/', new Date()), 0)
  assert.equal(await left.abortUploads('', new Date()), 1)
})
