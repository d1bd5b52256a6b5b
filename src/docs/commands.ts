import type { Command } from 'commander'
import { CODES, type ErrorCode } from '../../engine/errors.ts'

/** The page of all commands: what the help of each says. */
export function commandsPage(root: Command): string {
  const sections: string[] = []
  const visit = (command: Command, above: string[]): void => {
    const path = [...above, command.name()]
    let help = ''
    const writeOut = (text: string) => {
      help += text
    }
    command
      .configureHelp({ helpWidth: 110 })
      .configureOutput({ writeOut, getOutHasColors: () => false })
      .outputHelp()
    sections.push(`## ${path.join(' ')}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`)
    for (const each of root.createHelp().visibleCommands(command))
      if (each.name() !== 'help') visit(each, path)
  }
  visit(root, [])
  return `<!-- Made by npm run docs. -->\n# Commands\n\n${sections.join('\n')}`
}

/** The page of error codes: the category of each, whether a repeat can help, and the exit code. */
export function errorsPage(): string {
  const lines = (Object.keys(CODES) as ErrorCode[]).map(code => {
    const { category, retryable, exit } = CODES[code]
    return `| ${code} | ${category} | ${retryable ? 'yes' : 'no'} | ${exit} |`
  })
  return `<!-- Made by npm run docs. -->
# Errors

Every error has a code, which \`--json\`, the history and alerts name. Its exit code says what to do: 75 passes by itself, so that
the same command may be run again; 2 and 4 give the same until something is mended; 3 says that data was stopped.

| code | category | a repeat may help | exit code |
| --- | --- | --- | --- |
${lines.join('\n')}
`
}
