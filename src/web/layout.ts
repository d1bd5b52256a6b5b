import { counted } from '../../engine/plural.ts'
import { type Content, count, type Html, html } from '../report/markup.ts'
import type { Identity } from './access.ts'
import { mayAct, type Page } from './context.ts'

const LINKS = [
  ['/', 'Tonight'],
  ['/runs', 'Runs'],
  ['/jobs', 'Jobs'],
  ['/tables', 'Tables'],
  ['/lineage', 'Lineage'],
  ['/errors', 'Errors'],
  ['/sla', 'SLA'],
] as const

/** A whole page around what it is about. `said`: what came of the last thing that was done. */
export function layout(page: Page, who: Identity | undefined, path: string, said?: string): string {
  const links = who && mayAct(who) ? [...LINKS, ['/audit', 'Audit'] as const] : LINKS
  const own = (href: string) => (href === '/' ? path === '/' : path === href || path.startsWith(`${href}/`))
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title} – Nightfreight</title><link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg">
<script src="/script.js" defer></script></head><body>
<a class="skip" href="#main">Skip to the content</a>
<nav aria-label="Pages"><a class="brand" href="/">Nightfreight</a>${
    who
      ? html`${links.map(([href, name]) => html`<a href="${href}"${own(href) ? CURRENT : undefined}>${name}</a>`)}
<span class="who">${who.name} · ${who.role}</span>${
          who.name === 'local'
            ? undefined
            : html`<form method="post" action="/logout"><button class="quiet">Log out</button></form>`
        }`
      : undefined
  }</nav>
${said ? html`<p class="said" role="status">${said}</p>` : undefined}
<main id="main" data-page="${path}"${page.isLive ? LIVE : undefined}>${page.main}</main>
<footer>Nightfreight · times are UTC</footer></body></html>
`.text
}

const CURRENT = html` aria-current="page"`
const LIVE = html` data-live`

/** What a button does: a form of its own, which needs no script. `confirm`: asked before. */
export function button(action: string, text: string, options: ButtonOptions = {}): Html {
  const { confirm, quiet, fields = {}, extra } = options
  return html`<form method="post" action="${action}"${confirm ? html` data-confirm="${confirm}"` : undefined}>${Object.entries(
    fields,
  ).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}${extra}<button${
    quiet ? html` class="quiet"` : undefined
  }>${text}</button></form>`
}

interface ButtonOptions {
  confirm?: string
  quiet?: boolean
  fields?: Record<string, string>
  /** Further fields, to be filled in. */
  extra?: Content
}

/** A name of blanks alone stands in quotes: nobody could press it. */
export const link = (href: string, text: Content) =>
  html`<a href="${href}">${typeof text === 'string' && text.trim() === '' ? `"${text}"` : text}</a>`

/** How many there are beside those that are shown; nothing where these are all. */
export const more = (all: number, shown: number, word: string, href?: string): Html | undefined => {
  if (all <= shown) return undefined
  const text = counted(all - shown, `more ${word}`, count)
  return html`<p class="soft">${href ? link(href, text) : text}</p>`
}

/** A part that is replaced on its own while the page is looked at. */
export const part = (name: string, content: Content) => html`<div data-part="${name}">${content}</div>`
