import { Command } from 'commander'
import { EngineError, EXIT } from '../../engine/errors.ts'
import { secretsIn } from '../config/secrets.ts'
import { type AlertRecord, latestAlerts } from '../metadata/alerts.ts'
import { siteOf } from '../util/site.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob } from './parse.ts'

export function alertsCommand(): Command {
  return new Command('alerts')
    .description('Show alerts, and try the channels they go to')
    .addCommand(listCommand())
    .addCommand(testCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight alerts list\n  nightfreight alerts test queries/members ops',
    )
}

function listCommand(): Command {
  return new Command('list')
    .description('Show the latest alerts by channel: how often, and what became of them')
    .argument('[job]', "only this job's alerts: its folder, or its name", parseJob)
    .option('--limit <n>', 'how many', parseCount, 50)
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExample:\n  nightfreight alerts list member_data_warehouse_sync --json')
    .action(async (job: string | undefined, { limit, json }: { limit: number; json?: boolean }) => {
      const metadata = await openMetadata(homeFolder())
      const found = await latestAlerts(metadata.database, limit, job).finally(() => metadata.close())
      const alerts = found.map(({ payload, ...rest }) => ({ ...rest, ...(JSON.parse(payload) as Payload) }))
      if (json) print(JSON.stringify({ alerts }))
      else if (alerts.length === 0) print('No alerts.')
      else for (const alert of alerts) print(line(alert))
    })
}

interface Payload {
  alert: { title: string }
  error?: string
}

function line(record: Omit<AlertRecord, 'payload'> & Payload): string {
  const { first_at, channel, state, times, alert, error } = record
  const failed = error === undefined ? '' : `\n    not sent: ${error}`
  return `${first_at.slice(0, 19)}  ${channel}  ${state}  ${times} x  ${alert.title}${failed}`
}

function testCommand(): Command {
  return new Command('test')
    .description("Send a test alert to a job's channels, and say whether each took it")
    .argument('<job>', "the job's folder")
    .argument('[channel]', 'only this one')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExit code 75 where a channel did not take it.\n\nExample:\n  nightfreight alerts test queries/members ops',
    )
    .action(async (folder: string, channel: string | undefined, { json }: { json?: boolean }) => {
      // Loaded where they are needed: commands that only look answer at once.
      const { loadJob } = await import('../config/load.ts')
      const { Alerts } = await import('../alerts/alerts.ts')
      const { alertOf } = await import('../alerts/runAlerts.ts')
      const { createLog } = await import('./log.ts')
      const spec = await loadJob(folder, process.env)
      const known = Object.keys(spec.alerts?.channels ?? {})
      if (known.length === 0 || (channel !== undefined && !known.includes(channel)))
        throw new EngineError(
          'CONFIG_INVALID',
          channel === undefined ? `${spec.job}: no channels` : `${spec.job}: no channel "${channel}"`,
          {
            hint:
              known.length > 0 ? `It has ${known.join(', ')}.` : 'alerts.channels in job.yaml names them.',
          },
        )
      const secrets = [...secretsIn(process.env.METADATA_URL), ...spec.secrets]
      const home = homeFolder()
      const metadata = await openMetadata(home)
      const log = createLog({ folder: home, secrets })
      const alerts = new Alerts(spec.alerts, {
        database: metadata.database,
        clock: systemClock,
        log,
        secrets,
        site: siteOf(process.env),
      })
      const test = alertOf(spec, systemClock.now(), {
        kind: 'test',
        severity: 'INFO',
        cause: 'test',
        title: `${spec.job}: a test`,
        what: 'This is a test: nothing happened. Alerts of this job come here.',
      })
      const deliveries = await alerts
        .raise(test, channel === undefined ? known : [channel])
        .finally(() => metadata.close())
      if (json) print(JSON.stringify({ deliveries }))
      else
        for (const { channel, state, error } of deliveries)
          print(`${channel}: ${state}${error ? `, ${error}` : ''}`)
      if (deliveries.some(({ state }) => state === 'failed')) process.exitCode = EXIT.retryable
    })
}
