import { dirname } from 'node:path'
import { errorData } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { type GraphNode, graphOf } from '../../report/graph.ts'
import { badge, type Content, count, type Html, html, joined, section, table } from '../../report/markup.ts'
import { lineagePath } from '../../util/site.ts'
import {
  type ColumnId,
  columnKey,
  idOf,
  type ProjectLineage,
  type ProjectTable,
} from '../../workbench/lineage.ts'
import { tableNode } from '../../workbench/tableNode.ts'
import { near, rowsBy, type Traced, traceColumn, usersOf } from '../../workbench/trace.ts'
import type { PageMaker, WebContext } from '../context.ts'
import { link } from '../layout.ts'

/** The projects that are served: jobs whose folders lie beside each other are one. */
async function projects({ catalog, lineage }: WebContext) {
  const folders = new Set([...catalog.jobs.values()].map(({ folder }) => dirname(folder)))
  return Promise.all(
    [...folders].sort().map(async folder => {
      try {
        return { folder, found: await lineage.of(folder) }
      } catch (error) {
        return { folder, failed: errorData(error).message }
      }
    }),
  )
}

/** Every table of every project, with its columns. */
export const lineage: PageMaker = async web => {
  const all = await projects(web)
  const tables = all.flatMap(({ found }) => [...(found?.tables.values() ?? [])])
  const left = all.flatMap(({ folder, found, failed }) => [
    ...(failed === undefined ? [] : [`${folder}: ${failed}`]),
    ...(found?.left ?? []).map(({ job, reason }) => `${job}: ${reason}`),
  ])
  return {
    title: 'Lineage',
    main: html`<h1>Lineage</h1>
${left.length > 0 ? html`<div class="error" role="alert"><p><b>Left out, since it is not valid:</b></p>${left.map(each => html`<p>${each}</p>`)}</div>` : undefined}
<div class="filter"><label>Tables and columns<input id="filter" type="search" autocomplete="off"></label><span class="soft" id="shown" role="status">${counted(tables.length, 'table', count)}</span></div>
${all.map(({ folder, found }) =>
  found
    ? section(
        all.length > 1 ? folder : 'All tables',
        graphOf(
          [...found.tables.values()].map(each => node(each, found)),
          `Tables of ${folder}`,
        ),
      )
    : undefined,
)}
${section(
  'Columns',
  html`<div id="tables">${table(
    ['Table', 'What', 'Job', 'Columns'],
    tables.map(each => [
      tableLink(each),
      each.kind,
      each.job,
      joined(each.columns.map(({ name }) => columnLink({ table: each.id, column: name }, name))),
    ]),
    'No job is served, or none is valid.',
  )}</div>`,
)}`,
  }
}

/** One table: what its columns are made of, and what is made of them. */
export const lineageTable: PageMaker = async (web, { params }) => {
  const at = await found(web, params)
  if (!at) return undefined
  const { own, project } = at
  const deciding = rowsBy(project, own.id)
  const users = usersOf(project)
  return {
    title: own.name,
    main: html`<header><h1>${own.name}</h1>${badge(own.kind, 'plain')}<p class="meta">${own.job} · ${own.source === undefined ? own.file : `read from ${own.source}`}</p></header>
${own.unsure === undefined ? undefined : html`<p class="soft">Not sure: ${own.unsure}.</p>`}
${graphOf(
  near(project.tables, own.id).map(id => node(project.tables.get(id)!, project, own.id)),
  `Tables near ${own.name}`,
)}
${section(
  'Columns',
  table(
    ['Column', 'Type', 'Made of', 'Used by'],
    own.columns.map(({ name, type, from }) => [
      columnLink({ table: own.id, column: name }, name),
      type ?? '',
      columns(project, from),
      columns(project, users.get(columnKey({ table: own.id, column: name })) ?? []),
    ]),
    'Its columns are known after the first run.',
  ),
)}
${deciding.length > 0 ? section('Rows', html`<p>Which rows it has is decided by ${columns(project, deciding)}.</p>`) : undefined}`,
  }
}

/** One column: all that it is made of, all that is made of it, and what would fail without it. */
export const lineageColumn: PageMaker = async (web, { params }) => {
  const at = await found(web, params)
  const name = params.column!
  if (!at?.own.columns.some(column => column.name === name)) return undefined
  const { own, project } = at
  const trace = traceColumn(project, { table: own.id, column: name })
  const all = [trace, ...trace.madeOf, ...trace.usedBy]
  const touched = Map.groupBy(all, ({ table }) => table)
  const { fails, loses, stops } = trace.without
  return {
    title: `${own.name}.${name}`,
    main: html`<header><h1>${tableLink(own)}.${name}</h1>${trace.type === undefined ? undefined : badge(trace.type, 'plain')}<p class="meta">${own.job}</p></header>
${graphOf(
  [...touched].flatMap(([id, same]) => {
    const each = project.tables.get(id)
    if (!each) return []
    const note = same.map(({ column }) => column).join(', ')
    return [{ ...node(each, project, own.id), note, href: columnPath(same[0]!) }]
  }),
  `What ${own.name}.${name} is made of, and what is made of it`,
)}
${section('Made of', steps(project, trace.madeOf, 'Of nothing that is read.'))}
${section('Made of it', steps(project, trace.usedBy, 'Nothing is.'))}
${trace.rowsBy.length > 0 ? section('Rows of its table', html`<p>Decided by ${columns(project, trace.rowsBy)}.</p>`) : undefined}
${trace.decides.length > 0 ? section('Rows that it decides', html`<p>Of ${joined(trace.decides.map(id => tableLink(project.tables.get(id)!)))}.</p>`) : undefined}
${section(
  'Without it',
  fails.length + loses.length + stops.length === 0
    ? html`<p>Nothing would fail.</p>`
    : html`${table(
        ['Fails', 'Where'],
        fails.map(({ job, what, line, column }) => [
          job,
          html`<code>${what}${line === undefined ? '' : `:${line}:${column}`}</code>`,
        ]),
        'Nothing names it.',
      )}${loses.length > 0 ? html`<p>Lost without a word: ${columns(project, loses)}.</p>` : undefined}${stops.length > 0 ? html`<p>Not made then: ${joined(stops.map(id => tableLink(project.tables.get(id)!)))}.</p>` : undefined}`,
)}
${trace.checks.length > 0 ? section('Checks that look at it', html`<p>${joined(trace.checks.map(({ file }) => html`<code>${file}</code>`))}</p>`) : undefined}`,
  }
}

async function found(
  web: WebContext,
  params: Record<string, string>,
): Promise<{ own: ProjectTable; project: ProjectLineage } | undefined> {
  for (const { found } of await projects(web)) {
    const own = found?.tables.get(idOf(params.job!, params.table!))
    if (own) return { own, project: found! }
  }
  return undefined
}

const node = (each: ProjectTable, project: ProjectLineage, own?: string): GraphNode =>
  tableNode(each, project, lineagePath(each.job, each.name), own)

const tableLink = ({ job, name }: ProjectTable) => link(lineagePath(job, name), name)

function columnPath({ table, column }: ColumnId): string {
  const cut = table.indexOf('/')
  return lineagePath(table.slice(0, cut), table.slice(cut + 1), column)
}

const columnLink = (id: ColumnId, text: string) => link(columnPath(id), text)

const columns = ({ tables }: ProjectLineage, ids: ColumnId[]): Content[] =>
  joined(ids.map(id => columnLink(id, `${tables.get(id.table)?.name ?? id.table}.${id.column}`)))

/** Columns by how far away they are. */
function steps(project: ProjectLineage, traced: Traced[], none: string): Html {
  const byDepth = [...Map.groupBy(traced, ({ depth }) => depth)]
  return table(
    ['Steps', 'Columns'],
    byDepth.map(([depth, own]) => [count(depth), columns(project, own)]),
    none,
  )
}
