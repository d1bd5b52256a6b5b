import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { counted } from '../../engine/plural.ts'
import type { RunResult } from '../runs/result.ts'
import { writeCorrections } from './sample/corrections.ts'
import { loadContacts, loadMembers } from './sample/load.ts'
import { applyNightTwo, type NightTwo } from './sample/nightTwo.ts'
import { paymentFeed } from './sample/payment.ts'
import { blockedFolder } from './servers/account.ts'
import { mariadbAvailable, startMariadb } from './servers/mariadb.ts'
import { startPaymentApi } from './servers/paymentApi.ts'
import { createDatabase, startPostgres } from './servers/postgres.ts'

const SEED = 20_260_101
const TOKEN = 'demo-token'

export interface DemoOptions {
  /** The demo's own folder: wiped at the start; at the end the servers' data is gone and the reports are left. */
  folder: string
  /** Members on the first night; at least 1000. */
  members: number
  signal: AbortSignal
  /** Runs the main job against the demo's systems. */
  runNight(night: 1 | 2, env: Record<string, string>, home: string): Promise<RunResult>
  say(text: string): void
}

/** Starts every system the main job needs, lets two nights pass, and stops them all, whatever happens. */
export async function demo({ folder, members, signal, runNight, say }: DemoOptions): Promise<RunResult[]> {
  await rm(folder, { recursive: true, force: true })
  const drops = join(folder, 'drops')
  await mkdir(drops, { recursive: true })
  const servers = await serversFolder(folder, say)
  const stops: (() => Promise<void>)[] = []
  try {
    say('Starting Postgres for the CRM and the warehouse …')
    const postgres = await startPostgres({ dir: servers, signal })
    stops.push(() => postgres.stop())
    const crm = await createDatabase(postgres, 'crm')
    const warehouse = await createDatabase(postgres, 'warehouse')
    let legacy: string
    if (mariadbAvailable()) {
      say('Starting MariaDB for the legacy system …')
      const mariadb = await startMariadb({ dir: servers, signal })
      stops.push(() => mariadb.stop())
      legacy = mariadb.url
    } else {
      say('No mariadbd on this machine: the legacy table goes into the embedded Postgres.')
      legacy = await createDatabase(postgres, 'legacy')
    }
    let night: 1 | 2 = 1
    const api = await startPaymentApi({ payments: () => paymentFeed(members, SEED, night), token: TOKEN })
    stops.push(() => api.stop())
    say(`Making ${members} members, their contacts, payments and address corrections …`)
    await Promise.all([
      loadMembers(legacy, members, SEED, { signal }),
      loadContacts(crm, members, SEED, { signal }),
      writeCorrections(drops, members, SEED),
    ])
    const env = {
      LEGACY_DB_URL: legacy,
      CRM_DB_URL: crm,
      PAYMENT_API_URL: api.url,
      PAYMENT_API_TOKEN: TOKEN,
      DROPS_URL: pathToFileURL(resolve(drops)).href,
      WAREHOUSE_URL: warehouse,
    }
    const home = join(folder, 'home')
    const results = [await runNight(1, env, home)]
    if (results[0]!.error !== undefined) return results
    const changes = await applyNightTwo({ membersUrl: legacy, contactsUrl: crm, n: members, seed: SEED })
    night = 2
    say(describe(changes))
    results.push(await runNight(2, env, home))
    return results
  } finally {
    for (const stop of stops.reverse()) await stop()
    await rm(servers, { recursive: true, force: true })
  }
}

/** Where the servers keep their data: below the demo's folder, or where their account cannot pass there, for the time being elsewhere. */
async function serversFolder(folder: string, say: (text: string) => void): Promise<string> {
  const blocked = process.getuid?.() === 0 ? await blockedFolder(folder) : undefined
  if (blocked === undefined) return join(folder, 'servers')
  const elsewhere = await mkdtemp(join(tmpdir(), 'nightfreight-demo-'))
  say(
    `The servers' account may not pass through ${blocked}: their data is in ${elsewhere} until the demo ends.`,
  )
  return elsewhere
}

function describe({ members, contacts, payments }: NightTwo): string {
  return [
    '\nBetween the nights the sources changed:',
    `  legacy    ${members.insert} members new, ${members.update} updated, ${members.late} late, ${members.older} with an older time, ${members.insert_bad} bad ones new, ${members.break} gone bad, ${members.repair} repaired`,
    `  crm       ${contacts.insert} contacts new, ${contacts.update} updated`,
    `  payments  ${counted(payments.entries, 'new entry')}, ${payments.repeats} of them a later word on an earlier payment`,
  ].join('\n')
}
