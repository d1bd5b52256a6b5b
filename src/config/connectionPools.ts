import { z } from 'zod'
import { ownValue } from '../../engine/ownValue.ts'
import { leastConnections } from '../../engine/runtime/lanes.ts'
import type { JobConnection, JobSpec } from '../spec/job.ts'
import type { Document } from './document.ts'

/** How many connections a run has to a system at one time, and how long it waits for the server to give one. */
export const connectionPoolsSchema = (count: z.ZodType<number>, seconds: z.ZodType<number>) =>
  z
    .record(
      z.string(),
      z
        .strictObject({
          min_connections: count.optional(),
          max_connections: count.optional(),
          connection_timeout: seconds.optional(),
        })
        .refine(({ min_connections: min = 0, max_connections: max = Infinity }) => min <= max, {
          path: ['min_connections'],
          message: 'expected at most max_connections',
        }),
    )
    .default({})

/** Milliseconds that each connection is waited for. */
export const connectTimeouts = (pools: Pools): Record<string, number> =>
  Object.fromEntries(
    Object.entries(pools).flatMap(([name, { connection_timeout: millis }]) =>
      millis === undefined ? [] : [[name, millis]],
    ),
  )

type Pools = z.output<ReturnType<typeof connectionPoolsSchema>>

/** The pools as the engine has them; what a connection cannot keep to is a problem of the document. */
export function readConnectionPools(
  document: Document,
  pools: Pools,
  connections: Record<string, JobConnection>,
  loads: JobSpec['loads'],
): JobSpec['connectionPools'] {
  const read: JobSpec['connectionPools'] = {}
  for (const [name, { min_connections: min, max_connections: max }] of Object.entries(pools)) {
    const path = ['connection_pools', name]
    const connection = ownValue(connections, name)
    const refuse = (key: string[], message: string) =>
      document.problem([...path, ...key], [...path, ...key].join('.') + message, 'key')
    if (!connection) {
      refuse([], `: the job uses no connection of this name; it has ${Object.keys(connections).join(', ')}`)
      continue
    }
    const { connector } = connection
    if (!connector.capabilities.pooled)
      refuse([], `: only connections to Postgres, MySQL and MariaDB have a number, not ${connector.name}`)
    const least = leastConnections({ loads }, name)
    if (max !== undefined && max < least)
      refuse(
        ['max_connections'],
        `: expected at least ${least}: ${least === 2 ? 'one holds the view, one reads' : 'one holds the transaction, one asks what it waits for, one sends'}; found ${max}`,
      )
    read[name] = { ...(min !== undefined && { min }), ...(max !== undefined && { max }) }
  }
  return read
}
