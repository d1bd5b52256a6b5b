import { z } from 'zod'
import { type Connector, defineConnector } from '../../src/connectors/declare/define.ts'

const capabilities = {
  source: true,
  target: true,
  incremental: true,
  modes: ['merge'] as const,
}
/** Connectors of two kinds, which reach nothing. */
export const registry: Connector[] = [
  defineConnector({
    name: 'postgres',
    schemes: ['postgres', 'postgresql'],
    config: z.object({ url: z.string(), schema: z.string().optional() }),
    extract: z.object({ table: z.string(), where: z.string().optional() }),
    capabilities,
    types: [],
  }),
  defineConnector({
    name: 'http',
    schemes: ['http', 'https'],
    config: z.object({ url: z.string(), headers: z.record(z.string(), z.string()).optional() }),
    extract: z.object({ path: z.string(), sinceParam: z.string().optional() }),
    capabilities: { ...capabilities, target: false },
    types: [],
  }),
]

export const ENV = {
  LEGACY: 'postgres://u:s3cr%40t@h/db',
  WAREHOUSE: 'postgres://w:wpass@h/dw',
  API: 'https://api/x',
}
