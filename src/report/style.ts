/** The report's look, in light and dark, on screen and on paper. */
export const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#dde1e6, #333a42); --soft: light-dark(#f5f7f9, #1d2228);
  --good: light-dark(#14743d, #4cc38a); --warn: light-dark(#8a5a00, #f1b347); --bad: light-dark(#b3261e, #ff8a80) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1.5rem;
  background: light-dark(#fff, #14181c); color: light-dark(#1b2127, #e4e8ec) }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem } header p { margin: .3rem 0; opacity: .75 }
.badge { font-size: .75rem; font-weight: 600; padding: .15rem .55rem; border-radius: 1rem; vertical-align: middle;
  border: 1px solid currentColor; text-transform: uppercase }
.success, .pass { color: var(--good) } .completed_with_errors, .warn { color: var(--warn) }
.failed, .reject, .stop { color: var(--bad) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: .8rem; margin: 1.5rem 0 }
.figures div { background: var(--soft); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem }
.figures strong { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums } .figures span { opacity: .75 }
.figures .bad strong { color: var(--bad) }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top }
td { overflow-wrap: anywhere } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
details { margin: .4rem 0 } summary { cursor: pointer }
.error { border: 1px solid var(--bad); border-radius: .6rem; padding: 0 1rem; margin: 1rem 0 } pre { white-space: pre-wrap }
.bars { list-style: none; padding: 0; font-size: .9rem } .bars li { display: grid;
  grid-template-columns: 16rem 1fr 5rem; gap: 1rem; align-items: center; padding: .15rem 0 }
.bars div { background: var(--soft); border-radius: .3rem } .bars i { display: block; height: .8rem;
  background: var(--good); border-radius: .3rem } .bars em { font-style: normal; text-align: right }
@media print { body { margin: 0; max-width: none } details > * { display: block } }
`
