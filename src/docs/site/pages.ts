import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { Marked, type Tokens } from 'marked'

/** A Markdown file as a page. Paths are of the repository, with slashes. */
export interface Page {
  file: string
  /** Its place in the site: `docs/tutorial.html`. */
  path: string
  title: string
  html: string
  /** Identifiers that links may lead to. */
  anchors: Set<string>
  sections: Section[]
}

/** What a search finds: a part of a page below its heading, or a row of a table of the reference. */
export interface Section {
  anchor: string
  heading: string
  text: string
}

interface Link {
  from: string
  to: string
  anchor: string
}

/** All pages that links lead to from some, and the files that they show. */
export interface Site {
  pages: Page[]
  assets: string[]
  /** Links that lead nowhere: `docs/a.md: missing.md`. */
  broken: string[]
}

const IMAGE = /\.(png|svg|jpe?g|gif)$/
const EXTERNAL = /^[a-z][a-z0-9+.-]*:/i

/** Reads Markdown files of a folder, and all that their links lead to. */
export function readSite(root: string, files: readonly string[]): Site {
  const pages = new Map<string, Page>()
  const assets = new Set<string>()
  const broken: string[] = []
  const links: Link[] = []
  const waiting = [...files]
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    if (pages.has(file)) continue
    const from = file
    pages.set(
      from,
      pageOf(root, from, target => {
        const found = resolve(root, from, target)
        if (found.kind === 'missing') broken.push(`${from}: ${target}`)
        if (found.kind === 'asset') assets.add(found.file)
        if (found.kind === 'page') {
          waiting.push(found.file)
          links.push({ from, to: found.file, anchor: found.anchor })
        }
        return found
      }),
    )
  }
  for (const { from, to, anchor } of links)
    if (anchor !== '' && !pages.get(to)!.anchors.has(anchor)) broken.push(`${from}: ${to}#${anchor}`)
  return { pages: [...pages.values()], assets: [...assets], broken }
}

type Target =
  | { kind: 'page'; file: string; anchor: string }
  | { kind: 'asset'; file: string }
  | { kind: 'external' | 'source' | 'missing' }

/** What a link of a file leads to. */
function resolve(root: string, from: string, href: string): Target {
  if (EXTERNAL.test(href)) return { kind: 'external' }
  const [path = '', anchor = ''] = decodeURI(href).split('#')
  const file = path === '' ? from : posix.normalize(posix.join(posix.dirname(from), path)).replace(/\/$/, '')
  const place = join(root, file)
  if (!existsSync(place)) return { kind: 'missing' }
  if (file.endsWith('.md')) return { kind: 'page', file, anchor }
  if (IMAGE.test(file)) return { kind: 'asset', file }
  const readme = `${file}/README.md`
  if (statSync(place).isDirectory() && existsSync(join(root, readme)))
    return { kind: 'page', file: readme, anchor }
  return { kind: 'source' }
}

/** The place of a page in the site. */
export const pathOf = (file: string) => file.replace(/README\.md$/, 'index.html').replace(/\.md$/, '.html')

function pageOf(root: string, file: string, follow: (href: string) => Target): Page {
  const text = readFileSync(join(root, file), 'utf8').replace(/^<!--.*?-->\n/s, '')
  const anchors = new Set<string>()
  const sections: Section[] = []
  const isReference = file.startsWith('docs/reference/')
  const marked = new Marked({ gfm: true })
  let title = ''
  marked.use({
    renderer: {
      heading({ tokens, depth }: Tokens.Heading) {
        const plain = plainText(tokens)
        const anchor = anchorOf(plain, anchors)
        if (depth === 1) title ||= plain
        sections.push({ anchor, heading: plain, text: '' })
        return `<h${depth} id="${anchor}">${this.parser.parseInline(tokens)} <a class="here" href="#${anchor}" aria-label="Link to ${escaped(plain)}">#</a></h${depth}>\n`
      },
      link({ href, tokens }: Tokens.Link) {
        const shown = this.parser.parseInline(tokens)
        const to = follow(href)
        if (to.kind === 'external') return `<a href="${escaped(href)}">${shown}</a>`
        const place = to.kind === 'page' ? pathOf(to.file) : to.kind === 'asset' ? to.file : undefined
        // Code stands in the repository only.
        if (place === undefined) return shown
        const hash = to.kind === 'page' && to.anchor !== '' ? `#${to.anchor}` : ''
        return `<a href="${escaped(relative(pathOf(file), place) + hash)}">${shown}</a>`
      },
      image({ href, text }: Tokens.Image) {
        const to = follow(href)
        const src = to.kind === 'asset' ? relative(pathOf(file), to.file) : href
        return `<img src="${escaped(src)}" alt="${escaped(text)}" loading="lazy">`
      },
    },
    walkTokens(token) {
      if (!isReference || token.type !== 'table') return
      for (const row of (token as Tokens.Table).rows) {
        const [name, ...rest] = row.map(({ tokens }) => plainText(tokens))
        rows.push({ before: row, heading: name!, text: rest.join(' ') })
      }
    },
  })
  const rows: { before: unknown; heading: string; text: string }[] = []
  const tokens = marked.lexer(text)
  marked.walkTokens(tokens, marked.defaults.walkTokens as never)
  const html = marked.parser(tokens)
  fillSections(tokens, sections)
  const first = sections[0]?.anchor ?? ''
  for (const { heading, text: about } of rows)
    sections.push({
      anchor: sections.find(({ heading: part }) => heading.startsWith(part))?.anchor ?? first,
      heading,
      text: about,
    })
  return { file, path: pathOf(file), title: title || file, html: framed(html), anchors, sections }
}

/** Gives each section the text that stands below its heading. */
function fillSections(tokens: readonly { type: string; raw: string }[], sections: Section[]): void {
  let at = -1
  for (const { type, raw } of tokens)
    if (type === 'heading') at++
    else if (sections[at]) sections[at]!.text += `${raw.replace(/[`*|#>[\]]/g, ' ')} `
}

/** Wide tables move in a frame of their own. */
const framed = (html: string) =>
  html.replaceAll('<table>', '<div class="wide"><table>').replaceAll('</table>', '</table></div>')

function plainText(tokens: readonly unknown[]): string {
  return (tokens as { tokens?: unknown[]; text?: string }[])
    .map(token => (token.tokens ? plainText(token.tokens) : (token.text ?? '')))
    .join('')
}

/** As GitHub makes it, and unlike those before. */
function anchorOf(heading: string, taken: Set<string>): string {
  const plain = heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')
  let anchor = plain
  for (let number = 1; taken.has(anchor); number++) anchor = `${plain}-${number}`
  taken.add(anchor)
  return anchor
}

/** A place as another page links to it. */
export const relative = (from: string, to: string) =>
  posix.relative(posix.dirname(from), to) || posix.basename(to)

export const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
