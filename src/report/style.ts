/** The style sheet of reports, on which the dashboard's builds: light, dark, phone, and paper. */
export const STYLE = `
:root { color-scheme: light dark; --bg:#f6f7f9; --card:#fff; --ink:#17202c; --soft:#5b6675; --line:#e0e4ea;
  --good:#12743e; --goodbg:#ddf3e5; --warn:#8a5a00; --warnbg:#fdf0cf; --bad:#b3261e; --badbg:#fbe1df; --bar:#3f6fd8; --link:#2a55b8 }
@media (prefers-color-scheme: dark) { :root { --bg:#12161c; --card:#1a2029; --ink:#e6eaf0; --soft:#9aa6b5;
  --line:#2c3440; --good:#6fd69b; --goodbg:#143423; --warn:#f0c060; --warnbg:#3a2e10; --bad:#ff9a92; --badbg:#43201e; --bar:#6b93ee; --link:#86a8f5 } }
* { box-sizing:border-box }
body { margin:0 auto; padding:32px 24px 64px; max-width:1120px; background:var(--bg); color:var(--ink);
  font:15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
header { display:flex; flex-wrap:wrap; align-items:baseline; gap:4px 14px }
h1 { font-size:24px; margin:0; overflow-wrap:anywhere } h2 { font-size:17px; margin:36px 0 10px } h3 { font-size:14px; margin:18px 0 6px }
.meta { color:var(--soft); width:100%; margin:0 } p { overflow-wrap:anywhere }
.badge { border-radius:99px; padding:1px 10px; font-size:13px; font-weight:600; white-space:nowrap }
.good { color:var(--good); background:var(--goodbg) } .warn { color:var(--warn); background:var(--warnbg) }
.bad { color:var(--bad); background:var(--badbg) } .plain { color:var(--soft); background:var(--line) }
.badge.bar { color:var(--bar); background:var(--line) }
.figures { display:grid; grid-template-columns:repeat(auto-fit,minmax(190px,1fr)); gap:12px; margin-top:22px }
.figure, .table, .error, details { background:var(--card); border:1px solid var(--line); border-radius:10px }
.figure { padding:14px 16px } .figure span { color:var(--soft); font-size:13px; display:block }
.figure b { font-size:26px; line-height:1.3; font-variant-numeric:tabular-nums }
.figure.miss { border-color:var(--bad) } .figure.miss b { color:var(--bad) }
.error { border-color:var(--bad); background:var(--badbg); padding:14px 18px; margin-top:20px; overflow-wrap:anywhere }
.error p { margin:4px 0 0; white-space:pre-line }
.table { overflow-x:auto } table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums }
th, td { text-align:left; padding:8px 12px; border-bottom:1px solid var(--line); vertical-align:top }
tbody tr:last-child > * { border-bottom:0 } th { font-size:12.5px; color:var(--soft); font-weight:600; white-space:nowrap }
.n { text-align:right; white-space:nowrap } .day { white-space:nowrap } .soft { color:var(--soft) } .cut { max-width:230px; overflow-wrap:anywhere }
td, th { min-width:64px } .heat :is(td, th) { min-width:0 } td code { display:inline-block; min-width:140px }
code { font:12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap:anywhere }
details { margin-top:8px; overflow:hidden } summary { cursor:pointer; padding:9px 14px } details .table { border-style:solid none none; border-radius:0 }
.tasks { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:10px 16px }
.task { display:grid; grid-template-columns:minmax(140px,230px) 1fr 76px; gap:12px; align-items:center; padding:3px 0; font-size:13.5px }
.task > span:first-child { overflow-wrap:anywhere }
.track { display:block; width:100%; height:12px; border-radius:3px; background:var(--line) }
.bars { display:block; width:100%; height:56px; margin:6px 0 2px; border-bottom:1px solid var(--line) }
.tone-good { fill:var(--good) } .tone-warn { fill:var(--warn) } .tone-bad { fill:var(--bad) } .tone-plain { fill:var(--soft) } .tone-bar { fill:var(--bar) }
@media (max-width:600px) { body { padding:16px 12px 40px } .table table { width:max-content; min-width:100% } td { max-width:260px; overflow-wrap:anywhere } .task { grid-template-columns:1fr auto } .task .track { grid-column:1 / -1; grid-row:2 } }
footer { margin-top:40px; color:var(--soft); font-size:13px }
@media print { :root { --bg:#fff; --card:#fff; --ink:#000; --soft:#444; --line:#ccc } body { max-width:none; padding:0; font-size:11px }
  * { print-color-adjust:exact } h2 { break-after:avoid } tr, .figure, .task { break-inside:avoid } .table { overflow:visible }
  details::details-content { content-visibility:visible; height:auto; display:block } }
`
