import { z } from 'zod'
import { readTls, tlsOptions } from '../../util/tls.ts'
import type { S3Access } from './sdk.ts'

const text = z.string().min(1)

/** How a bucket is reached: what is left out, the SDK finds by its own chain (environment, profile, role). */
export const s3Options = z.strictObject({
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
  ...tlsOptions,
  /** Seconds that a request may take without a byte. */
  timeout: z.number().positive().default(60),
})

/** An S3 connection. */
export const s3Config = z.strictObject({
  /** `s3://bucket/prefix`; a key pair may stand before the bucket, each part percent-encoded: `s3://key:secret@bucket`. */
  url: z.string().regex(/^s3:\/\/([^/@]*@)?[^/@:]+(\/|$)/, {
    error: 'expected a URL such as s3://bucket/prefix; a key with / or : goes into secret_key: beside it',
  }),
  ...s3Options.shape,
})

/** What a client needs, from what a job says. */
export function s3Access(config: z.infer<typeof s3Config>, name: string, baseDir = ''): S3Access {
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
    tls: readTls(name, config, baseDir),
  }
}
