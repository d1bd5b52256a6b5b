import type { LiveState, RunGraph } from '../../metadata/runDetails.ts'
import type { TaskRecord } from '../../metadata/tasks.ts'
import { gantt } from '../../report/charts.ts'
import { count, duration, type Html, html, moment } from '../../report/markup.ts'

/** How far the tables are that a run is at. */
export function liveTasks(live: LiveState | undefined): Html {
  if (!live) return html`<p class="soft">It has said nothing yet.</p>`
  if (live.tasks.length === 0) return html`<p class="soft">Between two tasks, at ${moment(live.at)}.</p>`
  const rows = live.tasks.map(({ task, rows, of, since }) => {
    const seconds = Math.max(0.001, (Date.parse(live.at) - Date.parse(since)) / 1000)
    return {
      label: task,
      note: count(rows),
      spans: [
        {
          from: 0,
          to: rows,
          tone: 'bar' as const,
          title: `${task}: ${count(rows)}${of === undefined ? '' : ` of about ${count(of)}`} rows, ${count(Math.round(rows / seconds))} a second`,
        },
      ],
      of: of ?? Math.max(1, rows),
    }
  })
  return html`${rows.map(row => gantt([row], { from: 0, to: Math.max(1, row.of) }, ''))}`
}

/** Tasks that a graph is drawn of. */
const MAX_NODES = 120
const NODE = { width: 210, height: 40, gapX: 40, gapY: 12 }

/** The tasks of a run and what they wait for, each as far as it is. */
export function taskGraph(graph: RunGraph, tasks: TaskRecord[], live: LiveState | undefined): Html {
  const names = Object.keys(graph)
  if (names.length === 0) return html`<p class="soft">Its tasks are not known.</p>`
  if (names.length > MAX_NODES)
    return html`<p class="soft">${count(names.length)} tasks: too many to draw; see the times below.</p>`
  const level = new Map<string, number>()
  for (const name of names)
    level.set(name, Math.max(-1, ...graph[name]!.map(before => level.get(before) ?? -1)) + 1)
  const columns = [...Map.groupBy(names, name => level.get(name)!)].sort(([a], [b]) => a - b)
  const at = new Map<string, { x: number; y: number }>()
  for (const [column, own] of columns)
    for (const [row, name] of own.entries())
      at.set(name, { x: column * (NODE.width + NODE.gapX), y: row * (NODE.height + NODE.gapY) })
  const width = columns.length * (NODE.width + NODE.gapX)
  const height = Math.max(...columns.map(([, own]) => own.length)) * (NODE.height + NODE.gapY)
  const edges = names.flatMap(name =>
    graph[name]!.filter(before => at.has(before)).map(before => {
      const [from, to] = [at.get(before)!, at.get(name)!]
      const [x, y, x2, y2] = [from.x + NODE.width, from.y + NODE.height / 2, to.x, to.y + NODE.height / 2]
      return html`<path d="M${x} ${y}C${x + 20} ${y} ${x2 - 20} ${y2} ${x2} ${y2}"></path>`
    }),
  )
  const known = new Map(tasks.map(each => [each.task, each]))
  const nodes = names.map(name => {
    const { x, y } = at.get(name)!
    const { tone, note } = nodeState(name, known.get(name), live)
    return html`<g transform="translate(${x} ${y})"><title>${name}: ${note}</title><rect class="node ${tone}" width="${NODE.width}" height="${NODE.height}" rx="6"></rect><text x="10" y="17">${name.length > 28 ? `${name.slice(0, 27)}…` : name}</text><text class="soft" x="10" y="33">${note}</text></g>`
  })
  return html`<div class="graph" role="region" tabindex="0" aria-label="Tasks and what they wait for"><svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${edges}${nodes}</svg></div>`
}

function nodeState(name: string, task: TaskRecord | undefined, live: LiveState | undefined) {
  if (!task) return { tone: '', note: 'waits' }
  if (task.status === 'FAILED') return { tone: 'bad', note: `failed${task.code ? `, ${task.code}` : ''}` }
  if (task.status === 'SUCCESS') {
    const took = Date.parse(task.ended_at!) - Date.parse(task.started_at)
    return { tone: 'good', note: `done in ${duration(took)}` }
  }
  const subject = name.slice(name.indexOf('.') + 1)
  const rows = (live?.tasks ?? []).filter(each => each.task === name || each.task.endsWith(`.${subject}`))
  const sum = rows.reduce((n, each) => n + each.rows, 0)
  return { tone: 'bar', note: sum > 0 ? `runs, ${count(sum)} rows` : 'runs' }
}
