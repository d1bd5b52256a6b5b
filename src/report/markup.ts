import { legible } from '../util/printable.ts'

/** Text that is HTML already; everything else is escaped where it is put in. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Content = Html | string | number | undefined | Content[]

export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(strings.reduce((text, part, at) => text + show(values[at - 1]) + part))
}

function show(value: Content): string {
  if (value === undefined) return ''
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(show).join('')
  return legible(String(value)).replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
}

export const figure = (name: string, value: string, note: string, missed = false) =>
  html`<div class="figure${missed ? ' miss' : ''}"><span>${name}</span><b>${value}</b><span>${note}</span></div>`

export const section = (title: string, content: Html) => html`<section><h2>${title}</h2>${content}</section>`

/** A heading that begins with # is of a column of numbers. */
export function table(headings: string[], rows: Content[][], empty = ''): Html {
  if (rows.length === 0) return html`<p class="soft">${empty}</p>`
  const kind = (at: number) => (headings[at]!.startsWith('#') ? ' class="n"' : '')
  return html`<div class="table" role="region" tabindex="0" aria-label="${headings.map(name => name.replace(/^#/, '')).join(', ')}"><table><thead><tr>${headings.map(
    (name, at) => html`<th scope="col"${new Html(kind(at))}>${name.replace(/^#/, '')}</th>`,
  )}</tr></thead><tbody>${rows.map(
    row => html`<tr>${row.map((cell, at) => html`<td${new Html(kind(at))}>${dated(cell)}</td>`)}</tr>`,
  )}</tbody></table></div>`
}

/** A moment is broken between day and time only. */
function dated(cell: Content): Content {
  const [, day, time] = (typeof cell === 'string' && /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$/.exec(cell)) || []
  return day ? html`<span class="day">${day}</span> ${time}` : cell
}

/** Items of a sentence, with something between them. */
export const joined = (items: Content[], between = ', '): Content[] =>
  items.flatMap((each, index) => (index > 0 ? [between, each] : [each]))

export const badge = (text: string, kind: string) => html`<span class="badge ${kind}">${text}</span>`
export const plural = (n: number, word: string) => (n === 1 ? word : `${word}s`)
export const count = (n: number) => n.toLocaleString('en-US')
export const short = (text: string) => (text.length > 60 ? `${text.slice(0, 59)}…` : text)
export const moment = (iso: string) =>
  iso
    .replace('T', ' ')
    .replace(/(:\d\d)\.\d+/, '$1')
    .replace(/Z$/, '')

// Rounded towards the worse side: 4.999 % over a limit of 4.99 % must not read as equal, nor 0.9499 as 0.95.
export const percent = (share: number) => `${(Math.ceil(share * 10_000 - 1e-9) / 100).toFixed(2)} %`
export const score = (share: number) => (Math.floor(share * 10_000 + 1e-9) / 10_000).toFixed(4)

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`
}
