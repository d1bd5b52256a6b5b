import { type Html, html } from './markup.ts'

/** A box of a graph: a table, a task. */
export interface GraphNode {
  id: string
  name: string
  /** A few words below the name. */
  note: string
  /** How it looks: classes of {@link GRAPH_STYLE}. */
  tone: string
  href?: string
  /** The nodes that it is made of, or waits for. */
  reads: string[]
}

const NODE = { width: 196, height: 40, gapX: 56, gapY: 12 }
/** Times that nodes are put beside what they are joined to. */
const SWEEPS = 4
const TEXT_LENGTH = 27

const KEYS = html`
<p class="soft">Arrow keys go along the graph, Enter opens a table.</p>`

const short = (text: string) => (text.length > TEXT_LENGTH ? `${text.slice(0, TEXT_LENGTH - 1)}…` : text)

/** A graph, from what reads nothing on the left to what nobody reads on the right. */
export function graphOf(nodes: GraphNode[], label: string): Html {
  if (nodes.length === 0) return html`<p class="soft">There is nothing to draw.</p>`
  const at = placed(nodes)
  const width = Math.max(...[...at.values()].map(({ x }) => x)) + NODE.width
  const height = Math.max(...[...at.values()].map(({ y }) => y)) + NODE.height
  const number = new Map(nodes.map(({ id }, index) => [id, index]))
  const edges = nodes.flatMap(node =>
    node.reads
      .filter(id => at.has(id))
      .map(id => {
        const [from, to] = [at.get(id)!, at.get(node.id)!]
        const [x, y, x2, y2] = [from.x + NODE.width, from.y + NODE.height / 2, to.x, to.y + NODE.height / 2]
        const bend = Math.max(24, (x2 - x) / 2)
        return html`<path data-from="${number.get(id)}" data-to="${number.get(node.id)}" d="M${x} ${y}C${x + bend} ${y} ${x2 - bend} ${y2} ${x2} ${y2}"></path>`
      }),
  )
  const drawn = nodes.map(node => {
    const { x, y } = at.get(node.id)!
    const { name, note, tone, href } = node
    const box = html`<g transform="translate(${x} ${y})"><title>${name}: ${note}</title><rect class="node ${tone}" width="${NODE.width}" height="${NODE.height}" rx="6"></rect><text x="10" y="17">${short(name)}</text><text class="soft" x="10" y="32">${short(note)}</text></g>`
    return href === undefined
      ? box
      : html`<a href="${href}" data-node="${number.get(node.id)}" data-text="${name}, ${note}">${box}</a>`
  })
  return html`<div class="graph" role="region" tabindex="0" aria-label="${label}"><svg width="${width + 4}" height="${height + 4}" viewBox="-2 -2 ${width + 4} ${height + 4}">${edges}${drawn}</svg></div>${nodes.some(({ href }) => href !== undefined) ? KEYS : undefined}`
}

/** Where nodes stand: each to the right of all that it reads, near to them in height. */
function placed(nodes: GraphNode[]): Map<string, { x: number; y: number }> {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const levels = new Map<string, number>()
  // In a circle of jobs, what is met again counts as the first.
  const levelOf = (id: string, path: ReadonlySet<string>): number => {
    const known = levels.get(id)
    if (known !== undefined) return known
    if (path.has(id)) return 0
    const below = byId.get(id)!.reads.filter(each => byId.has(each))
    const own = Math.max(-1, ...below.map(each => levelOf(each, new Set([...path, id])))) + 1
    levels.set(id, own)
    return own
  }
  for (const { id } of nodes) levelOf(id, new Set())
  const columns = [...Map.groupBy(nodes, ({ id }) => levels.get(id)!)]
    .sort(([a], [b]) => a - b)
    .map(([, own]) => own)
  const edges = nodes.flatMap(({ id, reads }) => reads.map(from => ({ from, to: id })))
  const readers = new Map(
    [...Map.groupBy(edges, ({ from }) => from)].map(([from, own]) => [from, own.map(({ to }) => to)]),
  )
  const row = new Map<string, number>()
  const number = (column: GraphNode[]) => {
    for (const [index, { id }] of column.entries()) row.set(id, index)
  }
  for (const column of columns) number(column)
  const mean = (ids: string[], own: number) => {
    const rows = ids.map(id => row.get(id)).filter(each => each !== undefined)
    return rows.length > 0 ? rows.reduce((sum, each) => sum + each, 0) / rows.length : own
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++)
    for (const column of sweep % 2 === 0 ? columns : columns.toReversed()) {
      const wanted = new Map(
        column.map(({ id, reads }) => [
          id,
          mean(sweep % 2 === 0 ? reads : (readers.get(id) ?? []), row.get(id)!),
        ]),
      )
      column.sort((a, b) => wanted.get(a.id)! - wanted.get(b.id)!)
      number(column)
    }
  const tallest = Math.max(...columns.map(({ length }) => length))
  return new Map(
    columns.flatMap((column, index) =>
      column.map(({ id }, place) => {
        const offset = (tallest - column.length) / 2
        return [
          id,
          {
            x: index * (NODE.width + NODE.gapX),
            y: Math.round((offset + place) * (NODE.height + NODE.gapY)),
          },
        ] as const
      }),
    ),
  )
}
