import { GRAPH_SCRIPT, GRAPH_STYLE } from '../report/graphAssets.ts'
import { STYLE as REPORT } from '../report/style.ts'

/** The style sheet of a project's pages: that of reports, and what they have not. */
export const STYLE = `${REPORT}
a { color:var(--link) } a:focus-visible, input:focus-visible, [tabindex]:focus-visible { outline:2px solid var(--bar); outline-offset:2px }
nav { font-size:13.5px; margin-bottom:16px } .about { white-space:pre-line; max-width:72ch } td .about { margin:0 }
input { font:inherit; color:var(--ink); background:var(--card); border:1px solid var(--soft); border-radius:8px; padding:6px 10px; width:min(420px,100%) }
pre { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 16px; overflow:auto; margin:8px 0 }
${GRAPH_STYLE}td:target, tr:target { background:var(--warnbg) }
`

/** Pages work without it: it filters tables, and goes along a graph by keys. */
export const SCRIPT = `'use strict'
${GRAPH_SCRIPT}`
