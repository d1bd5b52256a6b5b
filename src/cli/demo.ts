import { join, relative } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { shellWord } from '../util/shell.ts'
import { homeFolder } from './home.ts'
import { print, printError } from './output.ts'
import { execute } from './run.ts'
import { stoppedAtOnce } from './signals.ts'
import { printSummary } from './summary.ts'

// Compiled code is one folder deeper in the package.
const PACKAGE = join(import.meta.dirname, import.meta.url.endsWith('.ts') ? '../..' : '../../..')
const JOB = join(PACKAGE, 'queries/members')

export function demoCommand(): Command {
  return new Command('demo')
    .description('Run the main job for two nights against systems that the demo starts and stops itself')
    .option('--members <n>', 'members on the first night, at least 1000', parseMembers, 20_000)
    .option('--json', 'print events and results as JSON lines')
    .addHelpText('after', '\nExample:\n  nightfreight demo --members 100000')
    .action(async ({ members, json = false }: { members: number; json?: boolean }) => {
      const say = (text: string) => (json ? print(JSON.stringify({ event: 'demo', text })) : print(text))
      const { demo } = await import('../demo/demo.ts')
      const results = await stoppedAtOnce(signal =>
        demo({
          folder: join(homeFolder(), 'demo'),
          members,
          signal,
          say,
          runNight: async (night, env, home) => {
            say(`\nNight ${night === 1 ? 'one: everything' : 'two: only what changed'}`)
            const result = await execute({ folder: JOB, env, home, json, signal })
            if (!json) printSummary(result, false)
            return result
          },
        }),
      )
      const failed = results.find(result => result.error !== undefined)
      if (failed) process.exitCode = printError(failed.error, json)
      else if (!json) print(`\nOpen the report of night two:\n  ${results.at(-1)!.report}\n\n${tryText()}`)
    })
}

/** What to type to look at the demo's rows; its servers are gone, what they gave is staged. */
function tryText(): string {
  const command = import.meta.url.endsWith('.ts') ? 'npm run -s nightfreight --' : 'nightfreight'
  const [home = '', job = ''] = [join(homeFolder(), 'demo/home'), JOB].map(path => {
    const near = relative(process.cwd(), path)
    return shellWord(near.startsWith('..') ? path : near)
  })
  return [
    'Look at its rows, the servers gone:',
    `  export NIGHTFREIGHT_HOME=${home}`,
    `  ${command} show ${job} members_enriched --where "country = 'GB'"`,
    `  ${command} history ${job} --checks`,
    `  ${command} shell ${job} -c "SELECT check_name, reason FROM quarantine"`,
  ].join('\n')
}

function parseMembers(text: string): number {
  const members = Number(text)
  if (!Number.isInteger(members) || members < 1000)
    throw new InvalidArgumentError('Expected a whole number from 1000.')
  return members
}
