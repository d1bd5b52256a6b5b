import { EngineError, EXIT, systemError } from '../../engine/errors.ts'
import { type Fault, SqlInvalid } from '../../engine/sql/faults.ts'
import { ConfigInvalid } from '../config/invalid.ts'
import { legible } from '../util/printable.ts'
import { redact, redactJson } from '../util/redact.ts'

/** The flag that every command has. */
export const DEBUG = '--debug'

/** Whether a stream is a terminal that knows colours and can go back to a line: TERM=dumb says that it cannot. */
export const isTerminal = ({ isTTY }: { isTTY?: boolean }) => Boolean(isTTY) && process.env.TERM !== 'dumb'

/** Whether what goes to standard output may be coloured. */
export const hasColours = () => isTerminal(process.stdout) && !process.env.NO_COLOR

/** Prints a command's answer: text of several lines, or JSON. `painted`: its colours are ours, and all else in it is legible. */
export const print = (text: string, painted = false): void => console.log(painted ? text : legible(text))

export interface ErrorOutput {
  /** Default: standard error. */
  stream?: { write(text: string): unknown }
  /** Also the stack and the causes; default: as the command line says. */
  debug?: boolean
  secrets?: readonly string[]
}

/** What is wrong with which file, where that is what failed. */
export const faultsOf = (error: unknown): Fault[] | undefined =>
  error instanceof SqlInvalid || error instanceof ConfigInvalid ? error.faults : undefined

/** Prints a failure for people, or as one line of JSON, and returns the process's exit code. */
export function printError(thrown: unknown, json: boolean, output: ErrorOutput = {}): number {
  const { stream = process.stderr, debug = process.argv.includes(DEBUG), secrets = [] } = output
  const error = systemError(thrown)
  const known = error instanceof EngineError ? error : undefined
  const message = error instanceof Error ? error.message : String(error)
  const exit = known?.exitCode ?? EXIT.unexpected
  const stack = debug ? trace(error) : undefined
  if (json) {
    const faults = faultsOf(error)
    const { code, category, hint } = known ?? {}
    const facts = { code, category, message, hint, faults, exit, stack }
    stream.write(`${legible(redactJson(JSON.stringify({ event: 'error', ...facts }), secrets))}\n`)
    return exit
  }
  const lines = [`error${known ? ` ${known.code}` : ''}: ${message}`]
  if (known?.hint) lines.push(`hint: ${known.hint}`)
  if (stack) lines.push(stack)
  else if (!known) lines.push(`hint: this was not expected; run again with ${DEBUG} to see where it happened`)
  stream.write(`${legible(redact(lines.join('\n'), secrets))}\n`)
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
