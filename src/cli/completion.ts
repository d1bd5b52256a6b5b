import { Argument, Command } from 'commander'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** `root`: gives the whole command line, whose words are completed. */
export function completionCommand(root: () => Command): Command {
  return new Command('completion')
    .description('Print what makes a shell complete commands, options and files')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Put it where the shell reads it when it starts:
  echo 'eval "$(nightfreight completion bash)"' >> ~/.bashrc
  echo 'eval "$(nightfreight completion zsh)"' >> ~/.zshrc     # below compinit
  nightfreight completion fish > ~/.config/fish/completions/nightfreight.fish

Example:
  nightfreight completion bash`,
    )
    .action((shell: Shell) => console.log(completion(shell, root())))
}

/** Options and sub-commands that may follow a command: `errors list` → its words. */
interface Words {
  path: string
  words: string[]
}

function completion(shell: Shell, root: Command): string {
  const all = wordsOf(root, [])
  return shell === 'fish' ? fish(all) : bash(all, shell)
}

function wordsOf(command: Command, above: string[]): Words[] {
  const help = command.createHelp()
  const commands = help.visibleCommands(command).filter(each => each.name() !== 'help')
  const options = help.visibleOptions(command).flatMap(({ long }) => (long ? [long] : []))
  return [
    { path: above.join(' '), words: [...commands.map(each => each.name()), ...options] },
    ...commands.flatMap(each => wordsOf(each, [...above, each.name()])),
  ]
}

// Of the words typed so far, the longest beginning that is a command says what may follow; files may, too.
function bash(all: Words[], shell: Shell): string {
  const cases = all.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`)
  return `${shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_nightfreight() {
  local chosen='' word words=''
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    case " ${all.map(({ path }) => path.replaceAll(' ', '_')).join(' ')} " in
      *" \${chosen:+\${chosen// /_}_}$word "*) chosen="\${chosen:+$chosen }$word" ;;
    esac
  done
  case "$chosen" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _nightfreight nightfreight`
}

function fish(all: Words[]): string {
  const lines = all.flatMap(({ path, words }) =>
    words.map(word => {
      const seen =
        path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`
      return `complete -c nightfreight -n '${seen}' ${what}`
    }),
  )
  return lines.join('\n')
}
