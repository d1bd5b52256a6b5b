/** How the boxes and lines of {@link graphOf} look. */
export const GRAPH_STYLE = `.graph { overflow:auto; max-height:78vh; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px }
.graph text { fill:var(--ink); font:12px system-ui,"DejaVu Sans",sans-serif } .graph .soft { fill:var(--soft) }
.graph path { fill:none; stroke:var(--line); stroke-width:1.5 } .graph path.on { stroke:var(--bar); stroke-width:2.5 }
.graph rect.node { fill:var(--bg); stroke:var(--soft); stroke-width:1 } .graph rect.loaded { stroke:var(--good); stroke-width:2 } .graph rect.extract { stroke-dasharray:5 3 }
.graph rect.good { stroke:var(--good) } .graph rect.bar { stroke:var(--bar); stroke-width:2.5 } .graph rect.bad { stroke:var(--bad); stroke-width:2.5 }
.graph rect.own { stroke:var(--bar); stroke-width:3 } .graph a:focus { outline:none } .graph a:focus rect, .graph a:hover rect { stroke:var(--bar); stroke-width:3 }
.graph.filtered a:not(.match) { opacity:.25 }
`

/** A field \`#filter\` finds tables in \`#tables\` and graphs; arrow keys go along a graph. Pages work without it. */
export const GRAPH_SCRIPT = `const filter = document.querySelector('#filter')
if (filter) filter.addEventListener('input', () => {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean)
  const has = text => words.every(word => text.includes(word))
  let shown = 0
  for (const row of document.querySelectorAll('#tables tbody tr')) {
    row.hidden = !has(row.textContent.toLowerCase())
    if (!row.hidden) shown++
  }
  document.querySelector('#shown').textContent = shown + ' shown'
  for (const graph of document.querySelectorAll('.graph')) {
    graph.classList.toggle('filtered', words.length > 0)
    for (const node of graph.querySelectorAll('a')) node.classList.toggle('match', has(node.dataset.text.toLowerCase()))
  }
})
for (const graph of document.querySelectorAll('.graph')) {
  const node = id => graph.querySelector('a[data-node="' + id + '"]')
  const mark = id => {
    for (const path of graph.querySelectorAll('path'))
      path.classList.toggle('on', path.dataset.from === id || path.dataset.to === id)
  }
  for (const link of graph.querySelectorAll('a')) {
    link.addEventListener('focus', () => mark(link.dataset.node))
    link.addEventListener('mouseenter', () => mark(link.dataset.node))
  }
  graph.addEventListener('keydown', event => {
    const steps = { ArrowRight: ['from', 'to'], ArrowLeft: ['to', 'from'] }[event.key]
    const beside = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    const at = document.activeElement.closest('a[data-node]')
    const first = graph.querySelector('a')
    if (!first || (!steps && !beside)) return
    event.preventDefault()
    if (!at) return first.focus()
    if (steps) {
      const edge = graph.querySelector('path[data-' + steps[0] + '="' + at.dataset.node + '"]')
      if (edge) node(edge.dataset[steps[1]]).focus()
      return
    }
    const place = link => link.querySelector('g').transform.baseVal[0].matrix
    const own = place(at)
    const column = [...graph.querySelectorAll('a')].filter(link => place(link).e === own.e).sort((a, b) => place(a).f - place(b).f)
    const next = column[column.indexOf(at) + beside]
    if (next) next.focus()
  })
}
`
