import { Command, InvalidArgumentError, Option } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { secretsIn } from '../config/secrets.ts'
import { ownName } from '../util/owner.ts'
import { siteOf } from '../util/site.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { parseCount, parsePositive } from './parse.ts'

interface ServeFlags {
  slots: number
  pool?: Map<string, number>
  host: string
  port: number
  heartbeat?: string
  userHeader?: string
  trustedProxy: string[]
}

export function serveCommand(): Command {
  return new Command('serve')
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
    .option('--user-header <name>', 'in which a proxy says who asks, such as x-forwarded-user')
    .addOption(
      new Option('--trusted-proxy <address...>', 'whose --user-header is believed').default(
        ['127.0.0.1', '::1'],
        'this machine',
      ),
    )
    .addHelpText(
      'after',
      '\nThe dashboard is open to this machine only, until users are added (nightfreight users) or tokens are set\n(NIGHTFREIGHT_OPERATOR_TOKEN, NIGHTFREIGHT_VIEWER_TOKEN). NIGHTFREIGHT_URL says how people reach it: alerts, reports and\nsummaries name their page.\n\nExamples:\n  nightfreight serve queries\n  nightfreight serve queries --slots 4 --pool legacy_db_pool=2 --port 9464\n  nightfreight serve queries --host 0.0.0.0 --user-header x-forwarded-user --trusted-proxy 10.0.0.5',
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
        access: new Access({ users: new WebUsers(metadata.database, systemClock), ...accessFlags(flags) }),
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
          listen: seen => listen(createApp({ ...web, seen }), { host: flags.host, port: flags.port }),
          log,
          home,
          env: process.env,
          ...(flags.heartbeat !== undefined && { heartbeat: flags.heartbeat }),
          signal: abort.signal,
          ready: port => console.error(`serving; dashboard at http://${flags.host}:${port}/; log in ${home}`),
        })
      } finally {
        await metadata.close()
        process.off('SIGTERM', stop).off('SIGINT', stop)
      }
    })
}

/** Who may look: what the environment and the options say beside the store's users. */
function accessFlags({ host, userHeader, trustedProxy }: ServeFlags) {
  const { NIGHTFREIGHT_OPERATOR_TOKEN: operator, NIGHTFREIGHT_VIEWER_TOKEN: viewer } = process.env
  const site = siteOf(process.env)
  if (site !== undefined && !/^https?:\/\/[^/]+/.test(site))
    throw new EngineError('CONFIG_INVALID', `NIGHTFREIGHT_URL is ${site}, which is no address of a site`, {
      hint: 'NIGHTFREIGHT_URL=https://nights.example',
    })
  const tokens = [
    ...(operator ? [{ token: operator, role: 'operator' as const }] : []),
    ...(viewer ? [{ token: viewer, role: 'viewer' as const }] : []),
  ]
  for (const { token, role } of tokens)
    if (token.length < LEAST_TOKEN)
      throw new EngineError(
        'CONFIG_INVALID',
        `the ${role}'s token has fewer than ${LEAST_TOKEN} characters`,
        {
          hint: `NIGHTFREIGHT_${role.toUpperCase()}_TOKEN="$(openssl rand -hex 32)"`,
        },
      )
  return {
    host,
    tokens,
    ...(userHeader && { proxy: { header: userHeader.toLowerCase(), from: trustedProxy } }),
    ...(site && { url: new URL(site) }),
  }
}

/** Characters of a token: fewer can be guessed. */
const LEAST_TOKEN = 16

/** How this very program is started again. */
export const ownCommand = () => [process.execPath, ...process.execArgv, process.argv[1]!]

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
