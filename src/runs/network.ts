import type { JobSpec } from '../spec/job.ts'

/** What of `compression.network_transfer` is done otherwise than a job says it; undefined where all is. */
export function networkNote({
  networkCodec: codec,
  connections,
}: Pick<JobSpec, 'networkCodec' | 'connections'>): string | undefined {
  if (codec === undefined) return undefined
  const groups = Object.groupBy(Object.values(connections), ({ connector }) =>
    connector.capabilities.compresses ? 'packed' : 'plain',
  )
  const names = (group: keyof typeof groups) => (groups[group] ?? []).map(({ name }) => name).join(', ')
  const said = [
    ...(groups.packed && codec !== 'zlib'
      ? [`${names('packed')}: compressed by zlib, as MySQL's protocol has no ${codec}`]
      : []),
    ...(groups.plain
      ? [`${names('plain')}: not compressed, as only MySQL's and MariaDB's protocols can`]
      : []),
  ]
  return said.length > 0 ? `compression.network_transfer: ${said.join('; ')}` : undefined
}
