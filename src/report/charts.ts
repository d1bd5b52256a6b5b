import { type Content, type Html, html } from './markup.ts'

/** Colours of what is drawn: see style.ts. */
export type Tone = 'good' | 'warn' | 'bad' | 'plain' | 'bar'

export interface Span {
  from: number
  to: number
  tone: Tone
  /** What is said of it. */
  title: string
  href?: string
}

export interface GanttRow {
  label: Content
  note: string
  spans: Span[]
}

// What is drawn is stretched to the width that there is; texts are never within it.
const WIDTH = 1000
const HEIGHT = 100
const LEAST_BARS = 15
const LEAST_SPAN = 5

/** What a drawing says; one whose parts are links says so by these. */
function named(parts: { title: string; href?: string }[]): Html {
  if (parts.some(({ href }) => href)) return html``
  return html`role="img" aria-label="${parts.map(({ title }) => title).join('; ')}"`
}

/** Rows with what lasted when; `range` is what the whole width stands for. */
export function gantt(rows: GanttRow[], range: { from: number; to: number }, empty: string): Html {
  if (rows.length === 0) return html`<p class="soft">${empty}</p>`
  const whole = Math.max(1, range.to - range.from)
  const at = (value: number) =>
    ((Math.min(range.to, Math.max(range.from, value)) - range.from) / whole) * WIDTH
  const lines = rows.map(
    ({ label, note, spans }) => html`<div class="task"><span>${label}</span>
<svg class="track" viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" ${named(spans)}>${spans.map(span => {
      const end = Math.max(LEAST_SPAN, at(span.to))
      // What ends now is seen, too, however short it was.
      const x = Math.min(at(span.from), end - LEAST_SPAN)
      const rect = html`<rect class="tone-${span.tone}" x="${x.toFixed(1)}" y="0" width="${(end - x).toFixed(1)}" height="10" rx="1"><title>${span.title}</title></rect>`
      return span.href ? html`<a href="${span.href}" aria-label="${span.title}">${rect}</a>` : rect
    })}</svg><span class="n">${note}</span></div>`,
  )
  return html`<div class="tasks">${lines}</div>`
}

/** One bar a value, from zero. */
export function bars(values: { value: number; title: string; tone: Tone; href?: string }[]): Html {
  if (values.length === 0) return html`<p class="soft">Nothing yet.</p>`
  const most = Math.max(1e-9, ...values.map(({ value }) => value))
  // Few are no wider than many.
  const step = WIDTH / Math.max(LEAST_BARS, values.length)
  return html`<svg class="bars" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" ${named(values)}>${values.map(
    ({ value, title, tone, href }, index) => {
      const height = value > 0 ? Math.max(2, (value / most) * HEIGHT) : 0
      const rect = html`<rect class="tone-${tone}" x="${(index * step + step * 0.1).toFixed(1)}" y="${(HEIGHT - height).toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${height.toFixed(1)}"><title>${title}</title></rect>`
      return href ? html`<a href="${href}" aria-label="${title}">${rect}</a>` : rect
    },
  )}</svg>`
}

/** A share, 0 to 1, as a filled bar. */
export const meter = (label: string, share: number | undefined): Html =>
  share === undefined
    ? html`<p class="soft">${label}: not told by this system</p>`
    : html`<div class="task"><span>${label}</span><svg class="track" viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" role="img" aria-label="${label}: ${(share * 100).toFixed(0)} %"><rect class="tone-${share > 0.9 ? 'bad' : share > 0.75 ? 'warn' : 'bar'}" x="0" y="0" width="${(share * WIDTH).toFixed(1)}" height="10"></rect></svg><span class="n">${(share * 100).toFixed(0)} %</span></div>`
