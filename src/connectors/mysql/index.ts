import { z } from 'zod'
import { defineConnector } from '../define.ts'
import { MysqlSource } from './source.ts'
import { TYPES } from './types.ts'

/** MySQL and MariaDB as sources: parallel lanes in one snapshot, exact types, columns straight from the wire. */
export const mysql = defineConnector({
  name: 'mysql',
  schemes: ['mysql', 'mariadb'],
  config: z.strictObject({ url: z.string() }),
  extract: z.strictObject({ table: z.string().min(1) }),
  capabilities: { source: true, target: false, snapshot: true, parallel: true, incremental: true },
  types: TYPES,
  source: ({ url }, { name }) => new MysqlSource({ name, url }),
})
