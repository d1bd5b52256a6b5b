import { didYouMean } from '../../engine/nearest.ts'
import type { JobConnection, JobSpec } from '../spec/job.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'
import { keysBelow } from './yaml.ts'

/** Names of the environments that files of a job declare; none where one is no YAML. */
export const environmentNames = (texts: string[]): string[] => [
  ...new Set(texts.flatMap(text => keysBelow(text, 'environments'))),
]

/**
 * What a job says, without what is production's alone: its schedule, whom it tells, where it keeps copies. What its loads name
 * and the environment has no target for, or the other way round, is a problem of the document.
 */
export function inEnvironment(document: Document, yaml: JobYaml, name: string): JobYaml {
  const { schedule, sla, alerts, archive, report, ...own } = yaml
  const { targets } = yaml.environments[name]!
  const loaded = new Set(Object.values(yaml.load).map(({ to }) => to))
  const path = ['environments', name, 'targets']
  for (const to of loaded)
    if (!Object.hasOwn(targets, to))
      document.problem(path, `${path.join('.')}: ${to} is missing, which loads go to`, 'key')
  for (const target of Object.keys(targets))
    if (!loaded.has(target))
      document.problem(
        [...path, target],
        `${path.join('.')}.${target}: no load goes to ${target}${didYouMean(target, [...loaded])}`,
        'key',
      )
  const pools = Object.entries(yaml.connection_pools).filter(([pool]) => !Object.hasOwn(targets, pool))
  return {
    ...own,
    connection_pools: Object.fromEntries(pools),
    recovery: { ...yaml.recovery, auto: false },
  }
}

/** Refuses targets of an environment that are production's own, by another spelling, too; problems go to the document. */
export function refuseProductions(
  document: Document,
  name: string,
  targets: Record<string, JobConnection>,
  loads: JobYaml['load'],
  production: Pick<JobSpec, 'connections'>,
): void {
  const tables = Map.groupBy(Object.keys(loads), table => loads[table]!.to)
  const placeOf = (connection: JobConnection | undefined, to: string) =>
    connection?.connector.place?.(connection.config, connection.context, tables.get(to)!)
  for (const target of Object.values(targets)) {
    const place = placeOf(target, target.name)
    const own = [...tables.keys()].find(to => isSamePlace(place, placeOf(production.connections[to], to)))
    const path = ['environments', name, 'targets', target.name]
    if (own !== undefined)
      document.problem(
        path,
        `${path.join('.')}: is where production's ${own} is; an environment needs a database, file or folder of its own, such as duckdb:${name}.duckdb`,
      )
  }
}

function isSamePlace(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return false
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`)
}
