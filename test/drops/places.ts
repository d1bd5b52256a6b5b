import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { local } from '../../src/connectors/local/index.ts'
import { s3 } from '../../src/connectors/s3/index.ts'
import { sftp, sftpConfig } from '../../src/connectors/sftp/index.ts'
import { S3Client } from '../../src/stores/s3/client.ts'
import { s3Access, s3Config } from '../../src/stores/s3/settings.ts'
import { type S3Server, startS3 } from '../s3.ts'
import { type Sshd, startSshd } from '../sshd.ts'
import { folderPlace, night, type Place } from './nights.ts'

const context = { name: 'drop', baseDir: '/' }

/** A folder for the whole test file. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nf-drops-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function sshdFor(folder: string): Promise<Sshd> {
  const server = await startSshd(join(folder, 'ssh'))
  after(() => server.stop())
  return server
}

export async function s3For(): Promise<S3Server> {
  const server = await startS3()
  after(() => server.stop())
  return server
}

export function localPlace(folder: string): Place {
  return folderPlace('local', folder, () => local.source!({ url: folder }, context))
}

/** Reads files that stand alone in a new place below the folder, as its first night does. */
export function readerIn(folder: string) {
  let places = 0
  return async (files: Record<string, string | Buffer>, options: object = {}) => {
    const place = localPlace(join(folder, `${++places}`))
    for (const [name, content] of Object.entries(files)) await place.put(name, content)
    return night(place, { files: '*', ...options })
  }
}

export function sftpPlace(folder: string, sshd: Sshd, more: object = {}): Place {
  const config = () =>
    sftpConfig.parse({
      url: `sftp://${sshd.user}@127.0.0.1:${sshd.port}${folder}`,
      private_key: sshd.key,
      host_key: sshd.hostKey,
      ...more,
    })
  return folderPlace('sftp', folder, () => sftp.source!(config(), context))
}

export function s3Settings(server: S3Server, bucket: string, more: object = {}) {
  return s3Config.parse({
    url: `s3://${bucket}/in`,
    endpoint: server.endpoint,
    access_key: 'test',
    secret_key: 'test',
    ...more,
  })
}

export async function s3Place(server: S3Server, bucket: string): Promise<Place> {
  await server.bucket(bucket)
  const config = s3Settings(server, bucket)
  const client = new S3Client(s3Access(config, 'drop'))
  after(() => client.close())
  return {
    name: 's3',
    source: () => s3.source!(config, context),
    put: async (name, content) => {
      await client.put(name, Buffer.from(content))
    },
    remove: name => client.remove(name),
    names: async () => {
      const names: string[] = []
      for await (const { key } of client.list('')) names.push(key)
      return names.sort()
    },
    get: async name => (await client.get(name))!.bytes.toString(),
  }
}
