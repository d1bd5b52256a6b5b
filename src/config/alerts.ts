import { didYouMean } from '../../engine/nearest.ts'
import { KINDS } from '../spec/alert.ts'
import type { AlertSpec, Channel } from '../spec/alerts.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'
import { secretsIn } from './secrets.ts'

/** The job's channels and what goes to them; problems go to the document. `folder`: where commands run. */
export function readAlerts(
  document: Document,
  { alerts }: Pick<JobYaml, 'alerts'>,
  folder: string,
): { alerts?: AlertSpec; secrets: string[] } {
  if (!alerts) return { secrets: [] }
  const channels: Record<string, Channel> = {}
  const secrets: string[] = []
  for (const [name, given] of Object.entries(alerts.channels)) {
    const path = ['alerts', 'channels', name]
    const { email, smtp, from, webhook, format, command } = given
    const problem = (key: string, message: string) =>
      document.problem([...path, key], `${path.join('.')}.${key}: ${message}`, 'key')
    const kinds = (['email', 'webhook', 'command'] as const).filter(key => given[key] !== undefined)
    if (kinds.length !== 1) {
      document.problem(path, `${path.join('.')} needs one of email, webhook and command`, 'key')
      continue
    }
    for (const [key, owner] of [
      ['smtp', 'email'],
      ['from', 'email'],
      ['format', 'webhook'],
    ] as const)
      if (given[key] !== undefined && kinds[0] !== owner) problem(key, `only a channel with ${owner} has it`)
    // Logs quote hosts and paths of URLs: the address of a webhook is its key.
    secrets.push(...secretsIn(given))
    if (webhook) secrets.push(webhook)
    if (email) {
      if (!smtp) problem('smtp', 'expected a URL such as smtps://user:password@mail.example.org')
      else if (!/^smtps?:\/\/[^/]+/.test(smtp))
        problem('smtp', 'expected a URL such as smtp://mail.example.org:587')
      else channels[name] = { kind: 'email', to: email, smtp, from: from ?? email[0]! }
    } else if (webhook) {
      if (!/^https?:\/\//.test(webhook) || !URL.canParse(webhook))
        problem('webhook', 'expected an http or https URL')
      else channels[name] = { kind: 'webhook', url: webhook, format: format ?? 'json' }
    } else if (command) channels[name] = { kind: 'command', command, folder }
  }
  const known = Object.keys(alerts.channels)
  for (const kind of KINDS)
    for (const name of alerts.on[kind])
      if (!known.includes(name))
        document.problem(
          ['alerts', 'on', kind],
          `alerts.on.${kind}: no channel "${name}"${didYouMean(name, known)}`,
        )
  return {
    alerts: { channels, on: alerts.on, repeatAfter: alerts.repeat_after },
    secrets: [...new Set(secrets)],
  }
}
