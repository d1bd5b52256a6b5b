import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { isTlsFailure, TLS_HINT } from '../../util/tls.ts'

/** Who and where, for messages. */
export interface ErrorSubject {
  name: string
  bucket: string
}

const NAMED: Record<string, ErrorCode> = {
  NoSuchKey: 'TABLE_MISSING',
  NotFound: 'TABLE_MISSING',
  NoSuchUpload: 'TABLE_MISSING',
  NoSuchBucket: 'DATABASE_MISSING',
  AccessDenied: 'PERMISSION_DENIED',
  AllAccessDisabled: 'PERMISSION_DENIED',
  InvalidObjectState: 'PERMISSION_DENIED',
  InvalidAccessKeyId: 'AUTH_FAILED',
  SignatureDoesNotMatch: 'AUTH_FAILED',
  ExpiredToken: 'AUTH_FAILED',
  InvalidToken: 'AUTH_FAILED',
  CredentialsProviderError: 'AUTH_FAILED',
  PreconditionFailed: 'RUN_CONFLICT',
  ConditionalRequestConflict: 'RUN_CONFLICT',
  SlowDown: 'CONNECTION_LOST',
  TimeoutError: 'TIMEOUT',
  InvalidRange: 'CONNECTION_LOST',
  PermanentRedirect: 'CONFIG_INVALID',
  AuthorizationHeaderMalformed: 'CONFIG_INVALID',
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  AUTH_FAILED: 'Check access_key and secret_key, or the profile or role that the SDK finds.',
  PERMISSION_DENIED:
    'The keys lack a permission: s3:ListBucket, s3:GetObject; to write, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads. A bucket of another payer needs requester_pays: true.',
  CONFIG_INVALID: "Set region: to the bucket's own, and endpoint: where it is not Amazon's.",
  TLS_FAILED: TLS_HINT,
  RUN_CONFLICT: 'The object was changed by someone else meanwhile: run again.',
}

/** An error of the SDK by its name or its status, in our words. `key` is the object's in the bucket, prefix and all. */
export function s3Error({ name, bucket }: ErrorSubject, key: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const error = cause as Error & {
    $metadata?: { httpStatusCode?: number }
    code?: string
    StorageClass?: string
  }
  const status = error.$metadata?.httpStatusCode
  const code =
    NAMED[error.name] ??
    byCode(error.code) ??
    (/^KMS[.]/.test(error.name) ? 'PERMISSION_DENIED' : byStatus(status))
  const what =
    error.name === 'Error' || error.name === 'UnknownError' ? (error.code ?? error.message) : error.name
  const object = key === '' ? '' : `/${key}`
  const archived =
    error.name === 'InvalidObjectState' &&
    `archived${error.StorageClass ? ` as ${error.StorageClass}` : ''}: ${error.message}`
  const told = archived || error.message
  const said = told && told !== what && told !== 'UnknownError' ? ` (${told})` : ''
  return new EngineError(
    code,
    `${name}: s3://${bucket}${object}: ${what}${said}${status ? `, HTTP ${status}` : ''}`,
    { cause, hint: hintFor(error, code) },
  )
}

function hintFor(
  { name, message, StorageClass }: { name: string; message: string; StorageClass?: string },
  code: ErrorCode,
) {
  if (name === 'InvalidObjectState')
    return `The object is archived${StorageClass ? ` (${StorageClass})` : ''}: restore it, leave it out of files:, or set on_bad_file: quarantine.`
  if (/^KMS[.]|kms:/i.test(`${name} ${message}`))
    return 'The keys may not use the KMS key of the object: kms:Decrypt to read, kms:GenerateDataKey to write.'
  return HINTS[code]
}

/** Of what came before any answer. */
function byCode(code = ''): ErrorCode | undefined {
  if (isTlsFailure(code)) return 'TLS_FAILED'
  return /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH)$/.test(code) ? 'CONNECTION_FAILED' : undefined
}

function byStatus(status: number | undefined): ErrorCode {
  if (status === undefined) return 'CONNECTION_LOST'
  if (status === 401) return 'AUTH_FAILED'
  if (status === 403) return 'PERMISSION_DENIED'
  if (status === 404) return 'TABLE_MISSING'
  if (status === 409 || status === 412) return 'RUN_CONFLICT'
  return status >= 500 || status === 429 ? 'CONNECTION_LOST' : 'RESPONSE_INVALID'
}
