import { counted } from '../../../engine/plural.ts'
import type { LiveState, RunGraph } from '../../metadata/runDetails.ts'
import type { TaskRecord } from '../../metadata/tasks.ts'
import { gantt } from '../../report/charts.ts'
import { graphOf } from '../../report/graph.ts'
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
          title: `${task}: ${of === undefined ? counted(rows, 'row', count) : `${count(rows)} of about ${counted(of, 'row', count)}`}, ${count(Math.round(rows / seconds))} a second`,
        },
      ],
      of: of ?? Math.max(1, rows),
    }
  })
  return html`${rows.map(row => gantt([row], { from: 0, to: Math.max(1, row.of) }, ''))}`
}

/** Tasks that a graph is drawn of. */
const MAX_NODES = 120

/** The tasks of a run and what they wait for, each as far as it is. */
export function taskGraph(graph: RunGraph, tasks: TaskRecord[], live: LiveState | undefined): Html {
  const names = Object.keys(graph)
  if (names.length === 0) return html`<p class="soft">Its tasks are not known.</p>`
  if (names.length > MAX_NODES)
    return html`<p class="soft">${counted(names.length, 'task', count)}: too many to draw; see the times below.</p>`
  const known = new Map(tasks.map(each => [each.task, each]))
  return graphOf(
    names.map(name => ({ id: name, name, reads: graph[name]!, ...nodeState(name, known.get(name), live) })),
    'Tasks and what they wait for',
  )
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
  return { tone: 'bar', note: sum > 0 ? `runs, ${counted(sum, 'row', count)}` : 'runs' }
}
