import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { Command, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { Role, WebUsers } from '../metadata/webUsers.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'

/** Characters of a password: fewer can be guessed. */
const LEAST_PASSWORD = 10

export function usersCommand(): Command {
  return new Command('users')
    .description('Who may look at the dashboard of serve, and who may act there')
    .addCommand(listCommand())
    .addCommand(addCommand())
    .addCommand(removeCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight users list --json\n  nightfreight users add ada --role operator --no-password',
    )
}

async function withUsers<T>(act: (users: WebUsers) => Promise<T>): Promise<T> {
  const { WebUsers } = await import('../metadata/webUsers.ts')
  const metadata = await openMetadata(homeFolder())
  return act(new WebUsers(metadata.database, systemClock)).finally(() => metadata.close())
}

function listCommand(): Command {
  return new Command('list')
    .description('Show users and their roles')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight users list --json')
    .action(async ({ json }: { json?: boolean }) => {
      const users = await withUsers(users => users.list())
      if (json) print(JSON.stringify({ users }))
      else if (users.length === 0)
        print('No users: the dashboard is open to this machine, and to nobody else.')
      else
        for (const { name, role, hasPassword } of users)
          print(`${role.padEnd(8)}  ${name}${hasPassword ? '' : '  (by a proxy only)'}`)
    })
}

function addCommand(): Command {
  return new Command('add')
    .description(
      'Add a user, or give one another role and password; the password is asked for, or read from standard input',
    )
    .argument('<name>', 'the name to log in with, or the one that a proxy gives')
    .addOption(
      new Option('--role <role>', 'what they may do').choices(['viewer', 'operator']).default('viewer'),
    )
    .option('--no-password', 'they come through a proxy that knows them')
    .addHelpText(
      'after',
      '\nA viewer looks; an operator also resumes, cancels, corrects.\n\nExample:\n  nightfreight users add ada --role operator --no-password',
    )
    .action(async (name: string, { role, password: asks }: { role: Role; password: boolean }) => {
      const password = asks ? await askPassword() : undefined
      await withUsers(users => users.set(name, role, password))
      print(`${name} is ${role === 'operator' ? 'an' : 'a'} ${role}`)
    })
}

function removeCommand(): Command {
  return new Command('remove')
    .description('Remove a user, whose log-ins end')
    .argument('<name>')
    .addHelpText('after', '\nExample:\n  nightfreight users remove ada')
    .action(async (name: string) => {
      if (!(await withUsers(users => users.remove(name))))
        throw new EngineError('CONFIG_INVALID', `there is no user ${name}`, {
          hint: 'nightfreight users list shows them.',
        })
      print(`${name} is removed`)
    })
}

/** Read without being shown; from a pipe, its first line. */
async function askPassword(): Promise<string> {
  const isTTY = process.stdin.isTTY
  if (isTTY) process.stderr.write('Password: ')
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output, terminal: isTTY })
  const read = await lines[Symbol.asyncIterator]().next()
  lines.close()
  if (isTTY) process.stderr.write('\n')
  const password = read.done ? '' : read.value
  if (password.length < LEAST_PASSWORD)
    throw new EngineError('CONFIG_INVALID', `the password has fewer than ${LEAST_PASSWORD} characters`, {
      hint: 'Take a longer one, or --no-password where a proxy knows who it is.',
    })
  return password
}
