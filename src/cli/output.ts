import { EngineError, EXIT } from '../../engine/errors.ts'

const MASK = '***'

/**
 * Masks every known secret in a text, also as JSON writes it, and the password of any URL.
 * Secrets come from `secretsOf` of the configuration.
 */
export function redact(text: string, secrets: readonly string[]): string {
  const forms = new Set(secrets.flatMap(secret => [secret, JSON.stringify(secret).slice(1, -1)]))
  forms.delete('')
  // Longest first, so that a secret inside another does not leave the rest of it readable.
  for (const form of [...forms].sort((a, b) => b.length - a.length)) text = text.replaceAll(form, MASK)
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*):[^\s/@"']+@/gi, `$1:${MASK}@`)
}

export interface ErrorOutput {
  /** Default: standard error. */
  stream?: { write(text: string): unknown }
  /** Also the stack and the causes. */
  debug?: boolean
  secrets?: readonly string[]
}

/** Prints a failure for people, or as one line of JSON, and returns the process's exit code. */
export function printError(error: unknown, json: boolean, output: ErrorOutput = {}): number {
  const { stream = process.stderr, debug = false, secrets = [] } = output
  const known = error instanceof EngineError ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  const exit = known?.exitCode ?? EXIT.unexpected
  const stack = debug ? trace(error) : undefined
  if (json) {
    const facts = { code: known?.code, category: known?.category, message, hint: known?.hint, exit, stack }
    stream.write(`${redact(JSON.stringify({ event: 'error', ...facts }), secrets)}\n`)
    return exit
  }
  const lines = [`error${known ? ` ${known.code}` : ''}: ${message}`]
  if (known?.hint) lines.push(`hint: ${known.hint}`)
  if (stack) lines.push(stack)
  else if (!known) lines.push('hint: this was not expected; run again with --debug to see where it happened')
  stream.write(`${redact(lines.join('\n'), secrets)}\n`)
  return exit
}

function trace(error: unknown): string {
  const parts: string[] = []
  const seen = new Set<unknown>()
  for (let each = error; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each)
    parts.push(`${parts.length ? 'caused by ' : ''}${each.stack ?? each.message}`)
  }
  return parts.join('\n')
}
