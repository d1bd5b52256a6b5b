import type { Diagnosis, Needs } from '../declare/define.ts'
import { nameParts } from '../sql/names.ts'
import { clockDiagnosis } from '../wire/clock.ts'
import { type Access, ask, connect, disconnect, quoteIdent, quoteTable } from './connect.ts'
import { diagnoseLog } from './followed.ts'

/** What a job lacks at a server, and the statement that gives it. */
export async function diagnose(
  access: Access,
  { reads, loads, follows }: Needs,
  signal: AbortSignal,
): Promise<Diagnosis[]> {
  const client = await connect(access, access.name, signal)
  const rows = <R extends object>(sql: string, params: unknown[] = []) =>
    ask<R>(client, access.name, sql, params, signal)
  try {
    const [session] = await rows<{ user: string; database: string; schema: string | null; millis: string }>(
      `SELECT current_user AS user, current_database() AS database, current_schema() AS schema,
         floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS millis`,
    )
    const { user, database, schema, millis } = session!
    const to = quoteIdent(user)
    const found: Diagnosis[] = [clockDiagnosis(Number(millis))]
    const table = async (name: string, privileges: string) => {
      const [row] = await rows<{ oid: string | null; held: string | null }>(
        `SELECT to_regclass($1)::text AS oid, bool_and(has_table_privilege(to_regclass($1), privilege))::text AS held
         FROM unnest(string_to_array($2, ', ')) AS privilege`,
        [quoteTable(name), privileges],
      )
      return row!
    }
    for (const name of reads) {
      const [parent] = nameParts(name).length > 1 ? nameParts(name) : [schema]
      const usage = `GRANT USAGE ON SCHEMA ${quoteIdent(parent ?? 'public')} TO ${to}; GRANT SELECT ON ${quoteTable(name)} TO ${to};`
      // A schema that may not be used makes every table of it one that is not there.
      const { oid, held } = await table(name, 'SELECT').catch(() => ({ oid: name, held: 'false' }))
      if (oid === null)
        found.push({ ok: false, what: `there is no table ${name}`, fix: `-- check table: ${name}` })
      else if (held !== 'true') found.push({ ok: false, what: `${user} may not read ${name}`, fix: usage })
      else found.push({ ok: true, what: `${user} may read ${name}` })
    }
    found.push(...(await diagnoseLog(client, access.name, user, follows)))
    if (loads.length === 0) return found
    const [own] = await rows<{ make: string; there: string; use: string }>(
      `SELECT has_database_privilege(current_database(), 'CREATE')::text AS make,
         (to_regnamespace('nightfreight') IS NOT NULL)::text AS there,
         coalesce(has_schema_privilege(to_regnamespace('nightfreight'), 'USAGE, CREATE'), false)::text AS use`,
    )
    const ready = own!.there === 'true' ? own!.use === 'true' : own!.make === 'true'
    found.push(
      ready
        ? { ok: true, what: `${user} may keep what loads need in the schema nightfreight` }
        : {
            ok: false,
            what: `${user} may not make or use the schema nightfreight, which loads need`,
            fix:
              own!.there === 'true'
                ? `GRANT USAGE, CREATE ON SCHEMA nightfreight TO ${to};`
                : `CREATE SCHEMA nightfreight AUTHORIZATION ${to};`,
          },
    )
    for (const name of loads) {
      const { oid, held } = await table(name, 'SELECT, INSERT, UPDATE, DELETE').catch(() => ({
        oid: name,
        held: 'false',
      }))
      const [parent] = nameParts(name).length > 1 ? nameParts(name) : [schema]
      if (oid !== null) {
        found.push(
          held === 'true'
            ? { ok: true, what: `${user} may load ${name}` }
            : {
                ok: false,
                what: `${user} may not load ${name}`,
                fix: `GRANT SELECT, INSERT, UPDATE, DELETE ON ${quoteTable(name)} TO ${to};`,
              },
        )
        continue
      }
      const [may] = await rows<{ held: string | null }>(
        `SELECT CASE WHEN to_regnamespace(quote_ident($1)) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
           ELSE has_schema_privilege(to_regnamespace(quote_ident($1)), 'CREATE') END::text AS held`,
        [parent ?? 'public'],
      )
      found.push(
        may!.held === 'true'
          ? { ok: true, what: `${user} may make ${name}, which is not there yet` }
          : {
              ok: false,
              what: `${user} may not make ${name}, which is not there yet`,
              fix: `GRANT CREATE, USAGE ON SCHEMA ${quoteIdent(parent ?? 'public')} TO ${to};  -- in ${quoteIdent(database)}`,
            },
      )
    }
    return found
  } finally {
    await disconnect(client)
  }
}
