import { EngineError } from '../../../engine/errors.ts'
import type { Diagnosis, Needs } from '../declare/define.ts'
import { clockDiagnosis } from '../wire/clock.ts'
import { type Access, ask, connect, disconnect } from './connect.ts'
import { diagnoseLog } from './followed.ts'
import { tableName } from './types.ts'

/** What a job lacks at a server, and the statement that gives it. */
export async function diagnose(
  access: Access,
  { reads, loads, follows }: Needs,
  signal: AbortSignal,
): Promise<Diagnosis[]> {
  const session = await connect(access, signal)
  const rows = <R extends object>(sql: string) => ask<R>(session, sql, signal)
  try {
    const [facts] = await rows<Record<'user' | 'db' | 'millis' | 'allowed', string>>(
      'SELECT CURRENT_USER() AS user, DATABASE() AS db, FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000) AS millis, @@GLOBAL.local_infile AS allowed',
    )
    const { user, db } = facts!
    const [name, host] = user.split(/@(?=[^@]*$)/) as [string, string]
    const to = `'${name}'@'${host}'`
    const grants = (await rows<Record<string, string>>('SHOW GRANTS')).map(row => Object.values(row)[0]!)
    const everywhere = (privilege: string) =>
      grants.some(
        grant => / ON \*\.\* /.test(grant) && new RegExp(`ALL PRIVILEGES|\\b${privilege}\\b`).test(grant),
      )
    const found: Diagnosis[] = [clockDiagnosis(Number(facts!.millis))]
    for (const table of reads) {
      const refused = await refusal(() => rows(`SELECT * FROM ${tableName(table)} LIMIT 0`))
      if (!refused) found.push({ ok: true, what: `${user} may read ${table}` })
      else if (refused.code === 'TABLE_MISSING')
        found.push({ ok: false, what: `there is no table ${table}`, fix: `-- check table: ${table}` })
      else
        found.push({
          ok: false,
          what: `${user} may not read ${table}`,
          fix: `GRANT SELECT ON ${tableName(table)} TO ${to};`,
        })
    }
    if (reads.length > 0 && !everywhere('RELOAD'))
      found.push({
        ok: false,
        optional: true,
        what: `${user} may not take the short read lock that several lanes need to share one snapshot: tables are read by one lane`,
        fix: `GRANT RELOAD ON *.* TO ${to};`,
      })
    if (follows.length > 0) {
      const lacks = [
        ['REPLICATION SLAVE', 'REPLICATION REPLICA'],
        ['REPLICATION CLIENT', 'BINLOG MONITOR'],
      ].filter(names => !names.some(everywhere))
      found.push(
        lacks.length === 0
          ? { ok: true, what: `${user} may read the binary log` }
          : {
              ok: false,
              what: `${user} may not read the binary log`,
              fix: `GRANT ${lacks.map(([privilege]) => privilege).join(', ')} ON *.* TO ${to};`,
            },
        ...(await diagnoseLog(session, follows)),
      )
    }
    if (loads.length === 0) return found
    if (facts!.allowed !== '1' && facts!.allowed !== 'ON')
      found.push({
        ok: false,
        what: 'the server takes no LOAD DATA LOCAL, which loads need',
        fix: 'SET GLOBAL local_infile = 1;',
      })
    const needed = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'DROP', 'ALTER', 'INDEX']
    const on = (grant: string) =>
      grant.replace(/\\/g, '').includes(` ON \`${db}\`.* `) || grant.includes(' ON *.* ')
    const lacks = needed.filter(
      privilege =>
        !grants.some(grant => on(grant) && new RegExp(`ALL PRIVILEGES|\\b${privilege}\\b`).test(grant)),
    )
    found.push(
      lacks.length === 0
        ? { ok: true, what: `${user} may load into ${db}` }
        : {
            ok: false,
            what: `${user} lacks ${lacks.join(', ')} on ${db}, which loads need`,
            fix: `GRANT ${needed.join(', ')} ON \`${db}\`.* TO ${to};`,
          },
    )
    return found
  } finally {
    await disconnect(session)
  }
}

async function refusal(act: () => Promise<unknown>): Promise<EngineError | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    if (error instanceof EngineError && !error.retryable) return error
    throw error
  }
}
