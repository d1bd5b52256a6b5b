import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { isTlsFailure, TLS_HINT } from '../../util/tls.ts'

// What fetch's cause carries where no connection came about (nothing where fetch itself refuses): a retry meets the same.
const UNREACHABLE = /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH)/

/** What became of a request that brought no complete answer. */
export interface Lost {
  where: string
  host: string
  /** The connection's name. */
  name: string
  cause: unknown
  /** Whether an answer had begun. */
  begun: boolean
}

/** A failure of the network that another attempt may cure. Throws where it would meet the same. */
export function lost({ where, host, name, cause, begun }: Lost): EngineError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const code = String((inner as { code?: unknown }).code ?? '')
  const message = inner instanceof Error && inner.message ? inner.message : code
  if (!begun && isTlsFailure(code))
    throw new EngineError('TLS_FAILED', `${where}: ${host}: ${message} (${code})`, {
      hint: `${TLS_HINT} The connection is ${name}.`,
    })
  if (!begun && (code === '' || UNREACHABLE.test(code)))
    throw new EngineError('CONNECTION_FAILED', `${where}: cannot reach ${host}: ${message}`, {
      hint: `Check the url of the connection ${name}, and that its server runs.`,
    })
  return begun
    ? new EngineError('CONNECTION_LOST', `${where}: the answer broke off: ${message}`)
    : new EngineError('CONNECTION_FAILED', `${where}: no answer from ${host}: ${message}`)
}

/** The same failure, saying how often it was tried. */
export function givenUp(failure: EngineError, attempts: number): EngineError {
  if (attempts > 1) failure.message += `, ${counted(attempts, 'time')}`
  return failure
}
