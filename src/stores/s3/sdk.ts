import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createRequire } from 'node:module'
import type * as Aws from '@aws-sdk/client-s3'
import { proxyEnv, secureContext, type Tls } from '../../util/tls.ts'

const require = createRequire(import.meta.url)

/** Amazon's library, loaded by those that have a bucket: it takes as long as a short command. */
export const aws = () => require('@aws-sdk/client-s3') as typeof Aws

/** What an S3 connection needs to be opened: plain data. Credentials that are not given come from the SDK's own chain. */
export interface S3Access {
  /** The connection's name, for messages. */
  name: string
  bucket: string
  /** Below the bucket, without a slash at either end; '' is the bucket itself. */
  prefix: string
  region?: string
  endpoint?: string
  pathStyle?: boolean
  accessKey?: string
  secretKey?: string
  sessionToken?: string
  profile?: string
  sse?: 'AES256' | 'aws:kms'
  kmsKey?: string
  requesterPays?: boolean
  /** Seconds that a request may take without a byte. */
  timeout: number
  tls?: Tls
}

/** Amazon's client for an access, in a region. */
export function openSdk(access: S3Access, region: string | undefined): Aws.S3Client {
  const { tls = {} } = access
  const agent = { keepAlive: true, maxSockets: 64, proxyEnv: proxyEnv(tls) }
  const config: Aws.S3ClientConfig = {
    // Adaptive: after a SlowDown every request of the client waits its turn.
    retryMode: 'adaptive',
    maxAttempts: 8,
    requestHandler: {
      connectionTimeout: access.timeout * 1000,
      requestTimeout: access.timeout * 1000,
      throwOnRequestTimeout: true,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, secureContext: secureContext(tls) }),
    },
    // Servers that are not Amazon's may know no checksums in trailers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(region !== undefined && { region }),
    ...(access.endpoint !== undefined && { endpoint: access.endpoint }),
    ...(access.pathStyle !== undefined && { forcePathStyle: access.pathStyle }),
    ...(access.profile !== undefined && { profile: access.profile }),
    ...(access.accessKey !== undefined && {
      credentials: {
        accessKeyId: access.accessKey,
        secretAccessKey: access.secretKey ?? '',
        ...(access.sessionToken !== undefined && { sessionToken: access.sessionToken }),
      },
    }),
  }
  return new (aws().S3Client)(config)
}

/** The region that a refusal names as the bucket's own. */
export function regionOf(cause: unknown): string | undefined {
  const { Region, $response } = cause as { Region?: string; $response?: { headers?: Record<string, string> } }
  return Region ?? $response?.headers?.['x-amz-bucket-region']
}
