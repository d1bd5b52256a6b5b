import { escaped, type Page, pathOf, relative } from './pages.ts'

/** The pages that every page leads to, by what somebody wants. */
export const NAVIGATION: Record<string, Record<string, string>> = {
  Begin: {
    'README.md': 'Nightfreight',
    'docs/tutorial.md': 'Tutorial',
    'docs/coming-from.md': 'Coming from another tool',
  },
  Guides: {
    'docs/guides/engineer.md': 'For engineers',
    'docs/analyst.md': 'For analysts',
    'docs/guides/on-call.md': 'On call',
    'docs/watching.md': 'Watching',
    'docs/changes.md': 'Change logs',
    'docs/airflow.md': 'Airflow',
    'docs/schedulers.md': 'cron, systemd, Dagster',
    'docs/compression.md': 'Compression',
  },
  Connectors: {
    'docs/connectors/README.md': 'All of them',
    'docs/connectors/postgres.md': 'Postgres',
    'docs/connectors/mysql.md': 'MySQL, MariaDB',
    'docs/connectors/duckdb.md': 'DuckDB',
    'docs/connectors/lake.md': 'Lake',
    'docs/connectors/files.md': 'Files',
    'docs/connectors/local.md': 'Files on disk',
    'docs/connectors/s3.md': 'S3',
    'docs/connectors/sftp.md': 'SFTP',
    'docs/connectors/http.md': 'HTTP APIs',
  },
  Reference: {
    'docs/reference/job.md': 'Keys of job.yaml',
    'docs/reference/commands.md': 'Commands',
    'docs/reference/errors.md': 'Errors',
    'docs/types.md': 'Types',
    'queries/README.md': 'Queries',
  },
  Inside: {
    'ARCHITECTURE.md': 'Architecture',
    'docs/decisions/README.md': 'Decisions',
    'CONTRIBUTING.md': 'Contributing',
    'TESTING.md': 'Testing',
    'CHANGELOG.md': 'Changes',
  },
}

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1c2330, #e4e7ee); --soft: light-dark(#5a6475, #9aa4b5); --bg: light-dark(#fff, #12161d);
  --card: light-dark(#f5f7fa, #1a202a); --line: light-dark(#dde2ea, #2c3542); --link: light-dark(#1f55b5, #8fb7ff) }
* { box-sizing: border-box } body { margin: 0; font: 16px/1.6 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--bg) }
a { color: var(--link) } a:focus-visible, input:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
.skip { position: absolute; left: -9999px } .skip:focus { left: 8px; top: 8px; background: var(--card); padding: 6px 10px; z-index: 2 }
header { position: sticky; top: 0; z-index: 1; display: flex; gap: 16px; align-items: center; padding: 10px 24px; background: var(--bg); border-bottom: 1px solid var(--line) }
header > a { font-weight: 700; color: var(--ink); text-decoration: none } .search { position: relative; flex: 1; max-width: 560px }
input { width: 100%; font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 6px 12px }
#found { position: absolute; left: 0; right: 0; margin: 4px 0 0; padding: 4px; list-style: none; max-height: 70vh; overflow: auto; background: var(--bg); border: 1px solid var(--line); border-radius: 8px }
#found:empty { display: none } #found a { display: block; padding: 6px 10px; border-radius: 6px; text-decoration: none } #found a:hover, #found a:focus { background: var(--card) }
#found small { display: block; color: var(--soft) }
.page { display: grid; grid-template-columns: 240px minmax(0, 1fr); gap: 40px; max-width: 1240px; margin: 0 auto; padding: 24px }
nav h2 { border: 0; padding: 0; font-size: 12px; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); margin: 20px 0 4px } nav ul { list-style: none; margin: 0; padding: 0 }
nav a { display: block; padding: 3px 0; color: var(--ink); text-decoration: none } nav a:hover { color: var(--link) } nav a[aria-current] { color: var(--link); font-weight: 600 }
main { max-width: 880px } h1, h2, h3 { line-height: 1.25; scroll-margin-top: 70px } h2 { margin-top: 2em; padding-top: .4em; border-top: 1px solid var(--line) }
.here { opacity: 0; text-decoration: none; font-weight: 400 } :is(h1, h2, h3):hover .here, .here:focus { opacity: 1 }
code, pre { font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace } code { background: var(--card); border-radius: 4px; padding: 1px 4px; overflow-wrap: anywhere }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; overflow: auto } pre code { background: none; padding: 0; overflow-wrap: normal }
.wide { overflow: auto } table { border-collapse: collapse; font-size: 14.5px } th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line) } td:first-child code { white-space: nowrap }
img { max-width: 100%; height: auto }
@media (max-width: 800px) { .page { grid-template-columns: minmax(0, 1fr); gap: 0 } nav { order: 2 } }
@media print { header, nav { display: none } }`

/** A page, whole. Works from a disk as from a server: nothing is fetched but what lies beside it. */
export function layout({ path, file, title, html }: Page): string {
  const to = (place: string) => escaped(relative(path, place))
  const groups = Object.entries(NAVIGATION).map(([group, pages]) => {
    const items = Object.entries(pages).map(
      ([each, name]) =>
        `<li><a href="${to(pathOf(each))}"${each === file ? ' aria-current="page"' : ''}>${escaped(name)}</a></li>`,
    )
    return `<h2>${group}</h2><ul>${items.join('')}</ul>`
  })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title === 'Nightfreight' ? title : `${title} · Nightfreight`)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header>
<a href="${to('index.html')}">Nightfreight</a>
<div class="search" role="search">
<input id="search" type="search" placeholder="Search ( / )" aria-label="Search the documents" autocomplete="off" data-root="${escaped(relative(path, '.'))}">
<ul id="found" aria-live="polite"></ul>
</div>
</header>
<div class="page">
<nav aria-label="Documents">${groups.join('\n')}</nav>
<main id="content">
${html}
</main>
</div>
<script src="${to('search/minisearch.js')}"></script>
<script src="${to('search/index.js')}"></script>
<script src="${to('search/search.js')}"></script>
</body>
</html>
`
}
