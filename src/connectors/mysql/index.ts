import { z } from 'zod'
import { defineConnector } from '../declare/define.ts'
import { MysqlSource } from './source.ts'
import { MysqlTarget } from './target.ts'
import { columnType } from './targetTypes.ts'
import { TYPES } from './types.ts'
import { withAbsoluteCa } from './url.ts'

/**
 * MySQL and MariaDB: read by parallel lanes in one snapshot, columns straight from the wire; loaded through LOAD DATA
 * LOCAL and one transaction.
 */
export const mysql = defineConnector({
  name: 'mysql',
  schemes: ['mysql', 'mariadb'],
  config: z.strictObject({
    // Without the slashes all of it, the password too, would be the database's name.
    url: z
      .string()
      .refine(url => /^\w+:\/\//.test(url), 'expected a URL such as mysql://user@host:3306/database'),
  }),
  extract: z.strictObject({ table: z.string().min(1) }),
  capabilities: {
    source: true,
    target: true,
    snapshot: true,
    parallel: true,
    incremental: true,
    keys: true,
    modes: ['append', 'merge', 'replace', 'partition', 'scd2'],
    fits: true,
  },
  types: TYPES,
  targetType: columnType,
  source: ({ url }, { name, baseDir }) => new MysqlSource({ name, url: withAbsoluteCa(url, baseDir) }),
  target: ({ url }, { name, baseDir }) => new MysqlTarget({ name, url: withAbsoluteCa(url, baseDir) }),
})
