import { z } from 'zod'
import { dropOptions } from '../../drops/options.ts'
import { DropSource } from '../../drops/source.ts'
import { defineConnector } from '../define.ts'
import type { S3Access } from './client.ts'
import { S3Store } from './store.ts'

const text = z.string().min(1)

/** An S3 connection: what is left out, the SDK finds by its own chain (environment, profile, role). */
export const s3Config = z.strictObject({
  /** `s3://bucket/prefix`; a key pair may stand before the bucket, each part percent-encoded: `s3://key:secret@bucket`. */
  url: z.string().regex(/^s3:\/\/[^/]+/, { error: 'expected a URL such as s3://bucket/prefix' }),
  region: text.optional(),
  /** Of a server that is not Amazon's: `https://minio.example:9000`. */
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
  /** Whether the bucket stands in the path, not in the host's name; default true with `endpoint`. */
  path_style: z.boolean().optional(),
  access_key: text.optional(),
  secret_key: text.optional(),
  session_token: text.optional(),
  /** Of the shared AWS configuration files. */
  profile: text.optional(),
  /** Encryption of what is written. */
  sse: z.enum(['AES256', 'aws:kms']).optional(),
  kms_key: text.optional(),
  requester_pays: z.boolean().default(false),
  /** Seconds that a request may take without a byte. */
  timeout: z.number().positive().default(60),
})

/** What a client needs, from what a job says. */
export function s3Access(config: z.infer<typeof s3Config>, name: string): S3Access {
  const [, pair, bucket, prefix] = /^s3:\/\/(?:([^/@]*)@)?([^/]+)\/?(.*)$/.exec(config.url)!
  const [key, secret] = (pair ?? '').split(':', 2)
  return {
    name,
    bucket: bucket!,
    prefix: prefix!.replace(/^\/+|\/+$/g, ''),
    region: config.region ?? (config.endpoint ? 'us-east-1' : undefined),
    endpoint: config.endpoint,
    pathStyle: config.path_style ?? config.endpoint !== undefined,
    accessKey: config.access_key ?? (key ? decodeURIComponent(key) : undefined),
    secretKey: config.secret_key ?? (secret ? decodeURIComponent(secret) : undefined),
    sessionToken: config.session_token,
    profile: config.profile,
    sse: config.sse,
    kmsKey: config.kms_key,
    requesterPays: config.requester_pays,
    timeout: config.timeout,
  }
}

/** Files of an S3 bucket, Amazon's or any other's, as a source. */
export const s3 = defineConnector({
  name: 's3',
  schemes: ['s3'],
  config: s3Config,
  extract: dropOptions,
  capabilities: {
    source: true,
    target: false,
    snapshot: false,
    parallel: true,
    incremental: false,
    modes: [],
  },
  types: [],
  source: (config, { name }) =>
    new DropSource({
      module: new URL('./lane.ts', import.meta.url).href,
      access: s3Access(config, name),
      openStore: access => new S3Store(access),
    }),
})
