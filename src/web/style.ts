import { GRAPH_STYLE } from '../report/graphAssets.ts'
import { STYLE as REPORT } from '../report/style.ts'

/** The dashboard's style sheet: that of reports, and what they have not. */
export const STYLE = `${REPORT}
a { color:var(--link) } a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible, [tabindex]:focus-visible { outline:2px solid var(--bar); outline-offset:2px }
.skip { position:absolute; left:-9999px } .skip:focus { left:8px; top:8px; background:var(--card); padding:6px 10px; z-index:1 }
nav { display:flex; flex-wrap:wrap; gap:4px 16px; align-items:center; border-bottom:1px solid var(--line); padding-bottom:12px; margin-bottom:20px }
nav a { text-decoration:none; padding:3px 0 } nav a[aria-current] { border-bottom:2px solid var(--bar); color:var(--ink) }
nav .brand { font-weight:700; color:var(--ink) } nav .who { margin-left:auto; color:var(--soft); font-size:13px } nav form { margin:0 }
.said { background:var(--card); border:1px solid var(--bar); border-radius:10px; padding:10px 16px; white-space:pre-line; overflow-wrap:anywhere }
.actions, .filter { display:flex; flex-wrap:wrap; gap:8px; align-items:end; margin:14px 0 } .actions form { margin:0; display:flex; gap:6px; align-items:end }
button, .buttonlike { font:inherit; font-weight:600; color:#fff; background:#2f5cc0; border:0; border-radius:8px; padding:6px 14px; cursor:pointer; min-height:34px }
.buttonlike { display:inline-block; text-decoration:none }
button.quiet { color:var(--ink); background:var(--line) }
input, select, textarea { font:inherit; color:var(--ink); background:var(--card); border:1px solid var(--soft); border-radius:8px; padding:5px 9px; min-height:34px; max-width:100% }
input[type=checkbox] { min-height:0; width:18px; height:18px }
label { font-size:13px; color:var(--soft); display:inline-flex; flex-direction:column; gap:2px } label.row { flex-direction:row; align-items:center; gap:8px }
.now { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:12px 16px; margin-bottom:10px }
.heat td, .heat th { padding:4px 5px; text-align:center; font-size:12px } .heat td:first-child, .heat th:first-child { text-align:left }
.h0 { color:var(--soft) } .h1 { background:var(--goodbg); color:var(--good) } .h2 { background:var(--warnbg); color:var(--warn) } .h3 { background:var(--badbg); color:var(--bad) }
.heat a { color:inherit }
.log { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:10px 14px; max-height:340px; overflow:auto; font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace; white-space:pre-wrap; overflow-wrap:anywhere }
.log time { color:var(--soft) }
${GRAPH_STYLE}.form { display:grid; gap:10px; max-width:640px } .form .field { display:grid; grid-template-columns:1fr auto; gap:8px; align-items:end } .form .field label:first-child > :is(input, textarea) { width:100% }
.login { max-width:340px; margin:10vh auto }
@media (max-width:600px) { nav .who { margin-left:0 } button { min-height:40px } }
`

export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#2f5cc0"/><path d="M10.5 2.5a5.5 5.5 0 1 0 3 9.5A6 6 0 0 1 10.5 2.5z" fill="#fff"/></svg>`
