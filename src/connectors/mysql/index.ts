import { z } from 'zod'
import { defineConnector } from '../define.ts'
import { MysqlSource } from './source.ts'
import { TYPES } from './types.ts'
import { withAbsoluteCa } from './url.ts'

/** MySQL and MariaDB as sources: parallel lanes in one snapshot, exact types, columns straight from the wire. */
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
  capabilities: { source: true, target: false, snapshot: true, parallel: true, incremental: true, modes: [] },
  types: TYPES,
  source: ({ url }, { name, baseDir }) => new MysqlSource({ name, url: withAbsoluteCa(url, baseDir) }),
})
