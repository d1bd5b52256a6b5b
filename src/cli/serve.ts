import { Command, InvalidArgumentError } from 'commander'
import { secretsIn } from '../config/secrets.ts'
import { ownName } from '../runs/owner.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { parseCount, parsePositive } from './parse.ts'

interface ServeFlags {
  slots: number
  pool: Map<string, number>
  host: string
  port: number
  heartbeat?: string
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
      new Map<string, number>(),
    )
    .option('--heartbeat <url>', 'asked each minute while all is well, so that its silence is noticed')
    .option('--host <address>', 'where /healthz, /readyz and /metrics are served', '127.0.0.1')
    .option('--port <n>', 'their port; 0 takes a free one', parseCount, 9464)
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight serve queries\n  nightfreight serve queries --slots 4 --pool legacy_db_pool=2 --port 9464',
    )
    .action(async (folders: string[], flags: ServeFlags) => {
      const { Catalog } = await import('../service/catalog.ts')
      const { serve } = await import('../service/serve.ts')
      const { createApp } = await import('../web/app.ts')
      const { listen } = await import('../web/server.ts')
      const { Children } = await import('../service/children.ts')
      const { createLog } = await import('./log.ts')
      const home = homeFolder()
      const metadata = await openMetadata(home)
      const runner = new Children(ownCommand(), home)
      const abort = new AbortController()
      // A second signal reaches the runs, too, which then stop at once.
      const stop = () => (abort.signal.aborted ? runner.stop() : abort.abort())
      process.on('SIGTERM', stop).on('SIGINT', stop)
      try {
        await serve({
          catalog: new Catalog(folders, process.env),
          metadata,
          clock: systemClock,
          runner,
          owner: ownName(),
          slots: flags.slots,
          pools: flags.pool,
          listen: seen => listen(createApp({ seen }), { host: flags.host, port: flags.port }),
          log: createLog({ folder: home, secrets: secretsIn(process.env.METADATA_URL) }),
          home,
          env: process.env,
          ...(flags.heartbeat !== undefined && { heartbeat: flags.heartbeat }),
          signal: abort.signal,
          ready: port =>
            console.error(`serving; health at http://${flags.host}:${port}/healthz; log in ${home}`),
        })
      } finally {
        await metadata.close()
        process.off('SIGTERM', stop).off('SIGINT', stop)
      }
    })
}

/** How this very program is started again. */
export const ownCommand = () => [process.execPath, ...process.execArgv, process.argv[1]!]

function parsePool(text: string, pools: Map<string, number>): Map<string, number> {
  const match = /^([^=]+)=(\d+)$/.exec(text)
  if (!match) throw new InvalidArgumentError('Expected a pool and its slots, such as legacy_db_pool=2.')
  return new Map(pools).set(match[1]!, Number(match[2]))
}
