import { ownValue } from '../ownValue.ts'
import type { FlowSpec } from './spec.ts'

type Pooled = Pick<FlowSpec, 'loads' | 'resources' | 'connectionPools'>

/** The main thread's own: the view of a read; of a target, the transaction and who asks what it waits for. */
const own = ({ loads }: Pick<FlowSpec, 'loads'>, connection: string) =>
  loads.some(({ to }) => to === connection) ? 2 : 1

/** Connections without which nothing can be read from, or loaded into, a system. */
export const leastConnections = (spec: Pick<FlowSpec, 'loads'>, connection: string) =>
  own(spec, connection) + 1

/** Lanes that read from a system or load it at one time: one a thread, within what the job says of its connections. */
export function lanesTo(spec: Pooled, connection: string): number {
  const { min = 0, max = Infinity } = ownValue(spec.connectionPools, connection) ?? {}
  return Math.min(Math.max(spec.resources.threads, min - 1), max - own(spec, connection))
}

/** Lanes of the connection that has most. */
export const mostLanes = (spec: Pooled): number =>
  Math.max(
    spec.resources.threads,
    ...Object.keys(spec.connectionPools ?? {}).map(connection => lanesTo(spec, connection)),
  )
