import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { isNumeric } from '../../engine/types/duckType.ts'
import type { Answer, Shell } from '../workbench/shell.ts'
import { homeFolder } from './home.ts'
import { judgedLines } from './judgedText.ts'
import { print, printError } from './output.ts'
import { parseTime } from './parse.ts'
import { fittedText } from './tableText.ts'

interface ShellFlags {
  command?: string
  reveal?: boolean
  at?: Date
}

const HELP = 'A statement ends with a semicolon; .tables lists what is there, .quit or Ctrl-D ends.'

export function shellCommand(): Command {
  return new Command('shell')
    .description("DuckDB with a job's macros, extracts, models and quarantine, as last staged; read only")
    .argument('<job>', "the job's folder")
    .option('-c, --command <sql>', 'run this and end')
    .option('--reveal', 'open a job with sensitive columns, which SQL will show')
    .option('--at <time>', "the run's own time, ISO 8601 (default: now)", parseTime)
    .addHelpText(
      'after',
      `
${HELP} What is typed changes nothing that is kept.

Examples:
  nightfreight shell queries/members -c "SELECT count(*) AS members FROM members_clean"`,
    )
    .action(async (folder: string, { command, reveal = false, at }: ShellFlags) => {
      const { openShell } = await import('../workbench/shell.ts')
      await using stack = new AsyncDisposableStack()
      const options = { folder, home: homeFolder(), env: process.env, runAt: at ?? new Date(), reveal }
      const shell = await openShell(options, stack)
      for (const { name, reason } of shell.left) console.error(`warning: ${name} is not there: ${reason}`)
      for (const [name, found] of shell.found)
        for (const line of judgedLines(found)) console.error(`${name}: ${line}`)
      if (command !== undefined) {
        for await (const answer of shell.run(command)) printAnswer(answer)
        return
      }
      await converse(shell)
    })
}

/** Reads statements from standard input until it ends. */
async function converse(shell: Shell): Promise<void> {
  const isTerminal = Boolean(process.stdin.isTTY)
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: isTerminal,
    prompt: '› ',
  })
  let text = ''
  const run = async () => {
    const statements = text
    text = ''
    try {
      for await (const answer of shell.run(statements)) printAnswer(answer)
    } catch (error) {
      const code = printError(error, false)
      if (!isTerminal) process.exitCode = code
    }
  }
  if (isTerminal) {
    print(`${shell.tables.join(', ')}\n`)
    lines.prompt()
  }
  for await (const line of lines) {
    const word = line.trim()
    if (text === '' && /^\.(quit|exit)$/.test(word)) break
    if (text === '' && word === '.tables') print(shell.tables.join('\n'))
    else if (text === '' && word.startsWith('.')) print(HELP)
    else {
      text += `${line}\n`
      if (word.endsWith(';')) await run()
    }
    if (isTerminal && text === '') lines.prompt()
    if (!isTerminal && (process.exitCode ?? EXIT.ok) !== EXIT.ok) return
  }
  if (text.trim() !== '') await run()
}

function printAnswer({ columns, rows }: Answer): void {
  const names = columns.map(({ name }) => name)
  const numeric = columns.map(({ type }) => isNumeric(type))
  print(fittedText(names, rows, numeric).join('\n'))
  print(`${counted(rows.length, 'row')}\n`)
}
