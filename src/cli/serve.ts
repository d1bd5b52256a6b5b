import { Command, InvalidArgumentError, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { secretsIn } from '../config/secrets.ts'
import { ownName } from '../util/owner.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { parseCount, parsePositive } from './parse.ts'
import { type AccessFlags, accessOf, addAccessOptions } from './whoMayLook.ts'

interface ServeFlags extends AccessFlags {
  slots: number
  pool?: Map<string, number>
  port: number
  heartbeat?: string
}

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Run jobs by their schedules until SIGTERM; of several on one metadata store one leads')
    .argument('<folders...>', 'folders of jobs, or folders that hold them')
    .option('--slots <n>', 'how many runs may be active at once', parsePositive, 2)
    .option(
      '--pool <name=n>',
      'how many runs that use a pool may be active at once; repeat it for more pools',
      parsePool,
    )
    .addOption(
      new Option('--heartbeat <url>', 'asked each minute while all is well, so that its silence is noticed')
        .env('NIGHTFREIGHT_HEARTBEAT')
        .argParser(parseWeb),
    )
    .option('--host <address>', 'where dashboard, /healthz, /readyz and /metrics are served', '127.0.0.1')
    .option('--port <n>', 'their port; 0 takes a free one', parseCount, 9464)
  return addAccessOptions(command)
    .addHelpText(
      'after',
      '\nThe dashboard is open to this machine only, until users are added (nightfreight users) or tokens are set\n(NIGHTFREIGHT_OPERATOR_TOKEN, NIGHTFREIGHT_VIEWER_TOKEN), or a proxy or an OpenID provider says who asks. Of --oidc-client,\nNIGHTFREIGHT_OIDC_SECRET is the secret. NIGHTFREIGHT_URL says how people reach it: alerts, reports and summaries name\ntheir page, and a provider sends people back there.\n\nExamples:\n  nightfreight serve queries\n  nightfreight serve queries --slots 4 --pool legacy_db_pool=2 --port 9464\n  nightfreight serve queries --host 0.0.0.0 --user-header x-forwarded-user --trusted-proxy 10.0.0.5',
    )
    .action(async (folders: string[], flags: ServeFlags) => {
      const { Catalog } = await import('../service/catalog.ts')
      const { serve } = await import('../service/serve.ts')
      const { createApp } = await import('../web/app.ts')
      const { Access } = await import('../web/access.ts')
      const { WebUsers } = await import('../metadata/webUsers.ts')
      const { Launcher } = await import('../service/launch.ts')
      const { openMask } = await import('../runs/mask.ts')
      const { listen } = await import('../web/server.ts')
      const { Children } = await import('../service/children.ts')
      const { LineageBook } = await import('../workbench/lineageBook.ts')
      const { createLog } = await import('./log.ts')
      const who = accessOf(flags, process.env)
      const home = homeFolder()
      const metadata = await openMetadata(home)
      const runner = new Children(ownCommand(), home)
      const abort = new AbortController()
      // A second signal reaches the runs, too, which then stop at once.
      const stop = () => (abort.signal.aborted ? runner.stop() : abort.abort())
      process.on('SIGTERM', stop).on('SIGINT', stop)
      const catalog = new Catalog(folders, process.env)
      const log = createLog({
        folder: home,
        secrets: [...secretsIn(process.env.METADATA_URL), ...(flags.heartbeat ? [flags.heartbeat] : [])],
      })
      const web = {
        access: new Access({ users: new WebUsers(metadata.database, systemClock), ...who }),
        metadata,
        catalog,
        clock: systemClock,
        launcher: new Launcher(ownCommand(), home, metadata),
        log,
        lineage: new LineageBook(home),
        mask: openMask(home, process.env),
      }
      try {
        await serve({
          catalog,
          metadata,
          clock: systemClock,
          runner,
          owner: ownName(),
          slots: flags.slots,
          pools: flags.pool ?? new Map(),
          listen: seen => listen(createApp({ ...web, seen }), flags).catch(error => refusePort(flags, error)),
          log,
          home,
          env: process.env,
          ...(flags.heartbeat !== undefined && { heartbeat: flags.heartbeat }),
          signal: abort.signal,
          ready: (port, outlook) => {
            console.error(`serving; dashboard at http://${flags.host}:${port}/; log in ${home}`)
            for (const line of outlook)
              console.error(legible(redact(line, secretsIn(process.env.METADATA_URL))))
          },
        })
      } finally {
        await metadata.close()
        process.off('SIGTERM', stop).off('SIGINT', stop)
      }
    })
}

/** How this very program is started again. */
export const ownCommand = () => [process.execPath, ...process.execArgv, process.argv[1]!]

/** The system's reasons why nobody can listen at an address; one that is taken may be free again soon. */
const REFUSED = ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'EAI_AGAIN', 'ENOTFOUND']

function refusePort({ host, port }: ServeFlags, cause: NodeJS.ErrnoException): never {
  const { code = '', message } = cause
  if (!REFUSED.includes(code)) throw cause
  throw new EngineError(
    code === 'EADDRINUSE' ? 'RESOURCE_EXHAUSTED' : 'CONFIG_INVALID',
    `the dashboard cannot be served at ${host}:${port}: ${message}`,
    {
      cause,
      hint: 'Another service may be there already; else name another --host or --port (0 takes a free one).',
    },
  )
}

function parseWeb(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new InvalidArgumentError('Expected a URL such as https://hc-ping.com/5b4f….')
  return text
}

function parsePool(text: string, pools: Map<string, number> = new Map()): Map<string, number> {
  const match = /^([^=]+)=(\d+)$/.exec(text)
  if (!match) throw new InvalidArgumentError('Expected a pool and its slots, such as legacy_db_pool=2.')
  return new Map(pools).set(match[1]!, Number(match[2]))
}
