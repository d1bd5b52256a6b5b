import { counted } from '../../engine/plural.ts'
import type { GraphNode } from '../report/graph.ts'
import { count } from '../report/markup.ts'
import type { ProjectLineage, ProjectTable } from './lineage.ts'

/** A table as a box of a graph that leads to `href`; `own`: the table that the page is about. */
export function tableNode(
  { id, name, kind, reads, job, columns }: ProjectTable,
  { jobs }: Pick<ProjectLineage, 'jobs'>,
  href: string,
  own?: string,
): GraphNode {
  const about = columns.length > 0 ? `${kind}, ${counted(columns.length, 'column', count)}` : kind
  return {
    id,
    name,
    note: jobs.length > 1 ? `${about}, ${job}` : about,
    tone: id === own ? `${kind} own` : kind,
    href,
    reads,
  }
}
