import { EngineError, type ErrorCode } from '../../engine/errors.ts'
import type { SecretProvider } from './provider.ts'
import { memberOf, textOf, withKey } from './request.ts'

/** AWS Secrets Manager: a secret's name or ARN, and `#KEY` of one that is JSON. Needs its SDK, which is not installed with us. */
export const awsSecret: SecretProvider = {
  scheme: 'aws-secret',
  shape: 'prod/warehouse#password',
  async read(address) {
    const { place, key } = withKey(address)
    const sdk = await import('@aws-sdk/client-secrets-manager').catch(
      notInstalled('@aws-sdk/client-secrets-manager'),
    )
    const client = new sdk.SecretsManagerClient({})
    try {
      const { SecretString } = await client.send(new sdk.GetSecretValueCommand({ SecretId: place }))
      return memberOf(textOf(SecretString, 'SecretString'), key)
    } catch (cause) {
      throw failure(cause)
    } finally {
      client.destroy()
    }
  },
}

/** AWS Systems Manager's parameters, decrypted: `/prod/warehouse/password`. Needs its SDK, which is not installed with us. */
export const awsParameter: SecretProvider = {
  scheme: 'aws-parameter',
  shape: '/prod/warehouse/password',
  async read(address) {
    const sdk = await import('@aws-sdk/client-ssm').catch(notInstalled('@aws-sdk/client-ssm'))
    const client = new sdk.SSMClient({})
    try {
      const { Parameter } = await client.send(
        new sdk.GetParameterCommand({ Name: address, WithDecryption: true }),
      )
      return textOf(Parameter?.Value, 'Value')
    } catch (cause) {
      throw failure(cause)
    } finally {
      client.destroy()
    }
  },
}

const notInstalled = (name: string) => (cause: unknown) => {
  throw new EngineError('CONFIG_INVALID', `the package ${name} is not installed`, {
    cause,
    hint: `Type: npm install ${name}`,
  })
}

function failure(cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const { name, message, $metadata } = cause as Error & { $metadata?: { httpStatusCode?: number } }
  const status = $metadata?.httpStatusCode
  const code: ErrorCode = /AccessDenied/.test(name)
    ? 'PERMISSION_DENIED'
    : /NotFound|Validation|Region/.test(name) || /Region is missing/.test(message)
      ? 'CONFIG_INVALID'
      : /Credentials|Token|Signature|Unrecognized/.test(name)
        ? 'AUTH_FAILED'
        : status === undefined || status >= 500 || status === 429
          ? 'CONNECTION_FAILED'
          : 'CONFIG_INVALID'
  return new EngineError(code, `${name}: ${message}`, { cause })
}
