import { dirname, join } from 'node:path'
import { type DestinationStream, destination, type Logger, pino } from 'pino'
import { makeFolder } from '../util/folder.ts'
import { identity, rotate } from '../util/logFiles.ts'
import { redactJson } from '../util/redact.ts'

const KEYS = ['password', 'url', 'token', 'authorization', 'Authorization']

/** Characters of lines between two looks at how long the file has grown. */
const LOOK_CHARACTERS = 64 * 1024

export interface LogOptions {
  /** Where lines go: a file (its folder is made); or `nightfreight.log` in `folder`; or else standard error. */
  file?: string
  folder?: string
  /** Default `info`. */
  level?: string
  /** Masked wherever they appear in a line. Read at every line: may be filled once the job is known. */
  secrets?: readonly string[]
  /** For tests: takes the lines instead. */
  stream?: DestinationStream
}

/** A logger of JSON lines that never shows a password, URL or token. */
export function createLog(options: LogOptions = {}): Logger {
  const { folder, level = 'info', secrets = [] } = options
  const file = options.file ?? (folder === undefined ? undefined : join(folder, 'nightfreight.log'))
  // For nobody else's eyes.
  if (file !== undefined) makeFolder(dirname(file), 0o700)
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: { paths: KEYS.flatMap(key => [key, `*.${key}`, `*.*.${key}`]), censor: '***' },
      hooks: { streamWrite: line => redactJson(line, secrets) },
    },
    options.stream ?? written(file),
  )
}

/** A full disk takes no lines, and ends nothing: that they are lost is said once. */
function written(file: string | undefined): DestinationStream {
  if (file !== undefined) rotate(file)
  // Synchronous: the last lines before a crash are the ones that matter.
  const stream = destination({ dest: file ?? 2, mode: 0o600, sync: true })
  let isTold = false
  stream.on('error', ({ message }: Error) => {
    if (!isTold)
      process.stderr.write(`the log ${file ?? ''} cannot be written, and lacks lines: ${message}\n`)
    isTold = true
  })
  if (file === undefined) return stream
  let since = 0
  let opened = identity(file)
  return {
    write(line) {
      stream.write(line)
      since += line.length
      if (since < LOOK_CHARACTERS) return
      since = 0
      rotate(file)
      // Another process may have put it aside, too.
      if (identity(file) === opened) return
      stream.reopen()
      opened = identity(file)
    },
  }
}

/** The logger of one task of a run. */
export function taskLogger(log: Logger, run: string, task: string): Logger {
  return log.child({ run, task })
}
