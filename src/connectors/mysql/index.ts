import { z } from 'zod'
import { type ConnectionContext, defineConnector } from '../declare/define.ts'
import { selection } from '../wire/selectionKeys.ts'
import { serverOf } from '../wire/server.ts'
import { type DatabaseSettings, databaseSettings, urlOf } from '../wire/settings.ts'
import type { Access } from './connect.ts'
import { diagnose } from './diagnose.ts'
import { MysqlSource } from './source.ts'
import { MysqlTarget } from './target.ts'
import { columnType } from './targetTypes.ts'
import { TYPES } from './types.ts'
import { connectionOptions, TLS, withAbsoluteFiles } from './url.ts'

/**
 * MySQL and MariaDB: read by parallel lanes in one snapshot, columns straight from the wire; loaded through LOAD DATA
 * LOCAL and one transaction.
 */
export const mysql = defineConnector({
  name: 'mysql',
  schemes: ['mysql', 'mariadb'],
  config: databaseSettings('mysql://user@host:3306/database'),
  extract: z.strictObject(selection),
  capabilities: {
    source: true,
    target: true,
    incremental: true,
    keys: true,
    changes: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
    fits: true,
    nesting: 'json',
    indexes: true,
    foreignKeys: true,
    pooled: true,
    compresses: true,
  },
  types: TYPES,
  targetType: ({ type }) => columnType(type),
  place: (settings, context, tables) => {
    const { name, url } = accessOf(settings, context)
    const { host, port, database } = connectionOptions(name, url)
    // A table may name another database; without any, it is all of them.
    const isWithin = database && tables.every(table => !table.includes('.'))
    return `mysql:${serverOf(host!, port!)}${isWithin ? `/${database.toLowerCase()}` : ''}`
  },
  check: (settings, context) => {
    const { name, url } = accessOf(settings, context)
    connectionOptions(name, url)
  },
  diagnose: (settings, context, needs, signal) => diagnose(accessOf(settings, context), needs, signal),
  source: (settings, context) => new MysqlSource(accessOf(settings, context)),
  target: (settings, context) => new MysqlTarget(accessOf(settings, context)),
})

function accessOf(
  settings: DatabaseSettings,
  { name, baseDir, timeouts, compress }: ConnectionContext,
): Access {
  return {
    name,
    url: withAbsoluteFiles(urlOf(settings, baseDir, TLS), baseDir),
    ...(timeouts && { timeouts }),
    ...(compress && { compress }),
  }
}
