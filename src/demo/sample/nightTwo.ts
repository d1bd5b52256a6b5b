import {
  type ChangedContact,
  type ChangedMember,
  changedContacts,
  changedMembers,
  type MemberChange,
} from './changes.ts'
import { copyFrom } from './copy.ts'
import { isMariadb, loadData, mapped, withMariadb, withPostgres } from './load.ts'
import { feedSize, repeatOf } from './payment.ts'
import * as tables from './tables.ts'
import { tsv } from './tsv.ts'

export interface NightTwoOptions {
  /** Where `loadMembers` and `loadContacts` put night one's rows. */
  membersUrl: string
  contactsUrl: string
  /** The n and seed of night one. */
  n: number
  seed: number
}

/** What night two did, row by row counted. */
export interface NightTwo {
  members: Record<MemberChange, number>
  contacts: Record<'insert' | 'update', number>
  /** New entries at the end of the feed; `repeats` of them are a later word on a payment sent before. */
  payments: { entries: number; repeats: number }
}

/**
 * Applies night two's changes to the two databases, one transaction each, and counts them. The payment feed of
 * night two is `paymentFeed(n, seed, 2)`; the caller has the API serve it. Throws a RangeError for n < 1000.
 */
export async function applyNightTwo({
  membersUrl,
  contactsUrl,
  n,
  seed,
}: NightTwoOptions): Promise<NightTwo> {
  const members = { insert: 0, insert_bad: 0, update: 0, break: 0, repair: 0, late: 0, older: 0 }
  const contacts = { insert: 0, update: 0 }
  await upsertMembers(membersUrl, tallied(changedMembers(n, seed), members))
  await upsertContacts(contactsUrl, tallied(changedContacts(n, seed), contacts))
  const payments = { entries: 0, repeats: 0 }
  for (let position = feedSize(n, 1); position < feedSize(n, 2); position++) {
    payments.entries++
    if (repeatOf(seed, position) !== undefined) payments.repeats++
  }
  return { members, contacts, payments }
}

// Rows go through a temporary table, so that the binary log and the tables see inserts and updates as an
// application would make them, and no deletes.
async function upsertMembers(url: string, changes: Iterable<ChangedMember>): Promise<void> {
  const columns = tables.MEMBER_COLUMNS.join(', ')
  const others = tables.MEMBER_COLUMNS.filter(column => column !== 'member_id')
  if (!isMariadb(url)) {
    const cells = mapped(changes, ({ row }) => tables.postgresMember(row))
    return upsertPostgres(url, 'members', 'member_id', columns, others, cells)
  }
  await withMariadb(url, async connection => {
    await connection.query('CREATE TEMPORARY TABLE changed LIKE members')
    const cells = mapped(changes, ({ row }) => tables.mariadbMember(row))
    await loadData(connection, 'changed', tables.MEMBER_COLUMNS, cells)
    await connection.query(
      `INSERT INTO members (${columns}) SELECT ${columns} FROM changed
       ON DUPLICATE KEY UPDATE ${others.map(column => `${column} = VALUES(${column})`).join(', ')}`,
    )
  })
}

async function upsertContacts(url: string, changes: Iterable<ChangedContact>): Promise<void> {
  const columns = tables.CONTACT_COLUMNS.join(', ')
  const others = tables.CONTACT_COLUMNS.filter(column => column !== 'contact_id')
  const cells = mapped(changes, ({ row }) => tables.postgresContact(row))
  await upsertPostgres(url, 'contacts', 'contact_id', columns, others, cells)
}

async function upsertPostgres(
  url: string,
  table: string,
  key: string,
  columns: string,
  others: readonly string[],
  cells: Iterable<(string | number | null)[]>,
): Promise<void> {
  await withPostgres(url, async client => {
    await client.query('BEGIN')
    await client.query(`CREATE TEMPORARY TABLE changed (LIKE ${table}) ON COMMIT DROP`)
    const sent = await copyFrom(client, 'COPY changed FROM STDIN', tsv(cells))
    const { rowCount } = await client.query(
      `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM changed
       ON CONFLICT (${key}) DO UPDATE SET ${others.map(column => `${column} = EXCLUDED.${column}`).join(', ')}`,
    )
    if (rowCount !== sent) throw new Error(`${table}: ${sent} changes, ${rowCount} rows`)
    await client.query('COMMIT')
  })
}

function* tallied<K extends string, T extends { change: K }>(
  changes: Iterable<T>,
  counts: Record<K, number>,
): Generator<T> {
  for (const change of changes) {
    counts[change.change]++
    yield change
  }
}
