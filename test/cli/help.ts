import type { Command } from 'commander'

/** A command and those below it, with how they are called. */
export function commands(command: Command, above: string[] = []): { path: string; command: Command }[] {
  const path = [...above, command.name()]
  return [
    { path: path.join(' '), command },
    ...command.commands.flatMap(each => commands(each as Command, path)),
  ]
}

/** What `--help` prints. */
export function helpOf(command: Command): string {
  let help = ''
  const writeOut = (text: string) => {
    help += text
  }
  command.configureOutput({ writeOut }).outputHelp()
  return help
}

/** The commands that a help shows as examples. */
export const examplesIn = (help: string) =>
  [...(help.split(/^Examples?:$/m)[1] ?? '').matchAll(/^ {2}(nightfreight .*)$/gm)].map(match => match[1]!)
