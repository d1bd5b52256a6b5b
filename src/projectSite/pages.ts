import { counted } from '../../engine/plural.ts'
import { bars } from '../report/charts.ts'
import { jobText } from '../report/data.ts'
import { type GraphNode, graphOf } from '../report/graph.ts'
import {
  badge,
  type Content,
  count,
  figure,
  Html,
  html,
  joined,
  moment,
  percent,
  section,
  table,
} from '../report/markup.ts'
import { LEVEL_TONE, statusBadge } from '../report/tones.ts'
import type { Check, Model } from '../spec/job.ts'
import { type ColumnId, columnKey, type ProjectTable } from '../workbench/lineage.ts'
import { tableNode } from '../workbench/tableNode.ts'
import { near, usersOf } from '../workbench/trace.ts'
import { SCRIPT, STYLE } from './assets.ts'
import { add, type CheckNight, checkKey, type SiteData } from './data.ts'

const KINDS = { view: 'a view', table: 'a table', incremental: 'an incremental table' } as const

/** The pages of a project; each needs no other file but those that it links to. */
export class ProjectPages {
  private readonly site: SiteData
  private readonly files = new Map<string, string>()
  private readonly readers = new Map<string, string[]>()
  private readonly usedBy: ReadonlyMap<string, ColumnId[]>

  constructor(site: SiteData) {
    this.site = site
    this.usedBy = usersOf(site.lineage)
    const taken = new Set<string>()
    for (const { id, reads } of site.lineage.tables.values()) {
      const stem = id.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')
      let file = `${stem}.html`
      // On some disks names that differ in case are one.
      for (let n = 2; taken.has(file.toLowerCase()); n++) file = `${stem}-${n}.html`
      taken.add(file.toLowerCase())
      this.files.set(id, file)
      for (const each of reads) add(this.readers, each, id)
    }
  }

  /** Path below the folder of the site → text. */
  *all(): Generator<[path: string, text: string]> {
    yield ['index.html', this.index()]
    for (const each of this.site.lineage.tables.values())
      yield [`tables/${this.files.get(each.id)}`, this.tablePage(each)]
  }

  private index(): string {
    const { lineage, nights, environment } = this.site
    const tables = [...lineage.tables.values()]
    const columns = tables.reduce((sum, each) => sum + each.columns.length, 0)
    const jobs = lineage.jobs.map(({ job, extracts, models, checks, loads }) => {
      const [latest] = nights.get(job)?.runs ?? []
      return [
        html`<b>${job}</b>`,
        ...[extracts, models, checks, loads].map(each => count(each.length)),
        latest ? html`${statusBadge(latest.status)} ${moment(latest.started_at)}` : 'has not run here',
      ]
    })
    const rows = tables.map(each => [
      html`<a href="tables/${this.files.get(each.id)}">${each.name}</a>`,
      each.kind,
      each.job,
      html`<span class="soft">${this.headerOf(each)?.description?.split('\n')[0]}</span>`,
      this.headerOf(each)?.owner,
      this.headerOf(each)?.tags.join(', '),
      count(each.columns.length),
    ])
    return this.page(
      'Tables',
      html`<header><h1>${jobText({ job: lineage.jobs.map(({ job }) => job).join(', '), ...(environment !== undefined && { environment }) })}</h1></header>
<div class="figures">${figure('Jobs', count(lineage.jobs.length), '')}${figure('Tables', count(tables.length), counted(columns, 'column', count))}${figure('Checks', count(lineage.checks.length), '')}</div>
${lineage.left.map(({ job, reason }) => html`<p class="error">${job} is left out: ${reason}</p>`)}
${section('Jobs', table(['Job', '#Extracts', '#Models', '#Checks', '#Loads', 'Last run'], jobs))}
${section('Tables', html`<p><input id="filter" type="search" placeholder="name, job, owner, tag …" aria-label="Show tables whose line has these words"> <span id="shown" class="soft" role="status"></span></p><div id="tables">${table(['Table', 'Is', 'Job', 'About', 'Owner', 'Tags', '#Columns'], rows)}</div>`)}
${section(
  'Lineage',
  graphOf(
    tables.map(each => this.node(each, 'tables/')),
    'All tables and what they are made of',
  ),
)}`,
      '',
    )
  }

  private tablePage(own: ProjectTable): string {
    const header = this.headerOf(own)
    const model = this.modelOf(own)
    const rowsBy = own.rows.map(each => this.columnLink(each))
    const readers = (this.readers.get(own.id) ?? []).map(id => this.link(id))
    const facts = [
      own.kind === 'extract'
        ? html`read from ${own.source}`
        : own.kind === 'loaded'
          ? html`loaded by ${own.job}`
          : html`made by <code>${own.file}</code>`,
      header?.owner && html`owner ${header.owner}`,
      header?.tags.length ? html`tags ${header.tags.join(', ')}` : undefined,
      model?.materialised && KINDS[model.materialised.kind],
      own.kind === 'loaded' ? this.loadText(own) : undefined,
    ].filter(each => each !== undefined && each !== '')
    return this.page(
      own.name,
      html`<header><h1>${own.name}</h1>${badge(own.kind, 'plain')}<p class="meta">${own.job} · ${joined(facts, ' · ')}</p></header>
${header?.description ? html`<p class="about">${header.description}</p>` : undefined}
${own.unsure ? html`<p class="soft">Not sure: ${own.unsure}.</p>` : undefined}
${section('Columns', this.columns(own))}
${rowsBy.length > 0 ? section('Rows', html`<p>Which rows it has is decided by ${joined(rowsBy)}.</p>`) : undefined}
${section(
  'Made of, and read by',
  html`<p>Made of ${
    own.reads.length > 0 ? joined(own.reads.map(id => this.link(id))) : 'no other table'
  }; read by ${readers.length > 0 ? joined(readers) : 'nobody'}.</p>${graphOf(this.near(own), `Tables near ${own.name}`)}`,
)}
${this.checks(own)}
${model?.enrich?.own ? section('Function', html`<p>Columns <b>${model.enrich.gives.map(({ name }) => name).join(', ')}</b> are given by <code>${model.enrich.own.file}</code>, of <b>${model.enrich.takes.map(({ name }) => name).join(', ')}</b>.</p>`) : undefined}
${model && (!model.enrich || model.function) && !model.seed ? section('Query', html`<pre tabindex="0"><code>${model.sql}</code></pre>`) : undefined}
${this.runs(own)}`,
      '../',
    )
  }

  private columns(own: ProjectTable): Html {
    const about = new Map(this.headerOf(own)?.columns.map(({ name, text }) => [name.toLowerCase(), text]))
    const body = own.columns.map(({ name, type, from }) => {
      const users = this.usedBy.get(columnKey({ table: own.id, column: name })) ?? []
      return [
        html`<b id="${anchor(name)}">${name}</b>`,
        html`<span class="soft">${type}</span>`,
        about.get(name.toLowerCase()) ?? this.inherited(own, name),
        joined(from.map(each => this.columnLink(each))),
        joined(users.map(each => this.columnLink(each))),
      ]
    })
    return table(
      ['Column', 'Type', 'About', 'Made of', 'Used by'],
      body,
      'Its columns are not known before the first run.',
    )
  }

  /** What is said of a column that this one is, unchanged, somewhere further up. */
  private inherited(own: ProjectTable, name: string): string | undefined {
    for (let [table, column, steps] = [own, name, 0]; steps < this.site.lineage.tables.size; steps++) {
      const [from, second] = table.columns.find(each => each.name === column)?.from ?? []
      const above = from && this.site.lineage.tables.get(from.table)
      if (!above || second || from.column.toLowerCase() !== name.toLowerCase()) return undefined
      const said = this.headerOf(above)?.columns.find(each => each.name.toLowerCase() === name.toLowerCase())
      if (said) return said.text
      ;[table, column] = [above, from.column]
    }
    return undefined
  }

  private checks(own: ProjectTable): Html | undefined {
    if (own.kind === 'loaded') return undefined
    const nights = this.site.nights.get(own.job)
    const judging = this.site.lineage.checks.filter(({ judges }) => judges.includes(own.id))
    const list = this.jobOf(own).checks.filter(({ file }) => judging.some(check => check.file === file))
    if (list.length === 0) return undefined
    const findings = nights?.findings.get(own.name) ?? []
    const latest = findings.at(-1)
    const rows = list.map(check => {
      const past = nights?.checks.get(checkKey(check.model, check.name)) ?? []
      const last = past.at(-1)
      return [
        html`<b>${check.name}</b>`,
        html`<span class="soft">${ruleText(check)}</span>`,
        last
          ? html`${badge(last.level, LEVEL_TONE[last.level])} ${moment(last.startedAt)}`
          : 'has not run here',
        last ? count(last.rows) : '',
        past.length > 0 ? checkBars(past) : '',
      ]
    })
    return section(
      'Checks',
      html`${latest === undefined ? undefined : html`<p>${percent(latest)} of its rows had a finding in the last of ${counted(findings.length, 'night', count)}.</p>`}${table(['Check', 'What', 'Last result', '#Rows', 'Nights'], rows)}`,
    )
  }

  private runs(own: ProjectTable): Html | undefined {
    const nights = this.site.nights.get(own.job)
    if (!nights || nights.runs.length === 0) return undefined
    const loaded = own.kind === 'loaded' ? nights.loadedAt.get(own.name) : undefined
    const rows = nights.runs
      .slice(0, 10)
      .map(run => [
        html`<code>${run.run}</code>`,
        statusBadge(run.status),
        moment(run.started_at),
        ...[run.read, run.rows_loaded, run.rejected].map(rows =>
          typeof rows === 'number' ? count(rows) : '–',
        ),
      ])
    return section(
      `Last runs of ${own.job}`,
      html`${loaded ? html`<p>Loaded last at ${moment(loaded)}.</p>` : undefined}${table(['Run', 'Ended', 'Began', '#Read', '#Loaded', '#Rejected'], rows)}`,
    )
  }

  private loadText(own: ProjectTable): Content {
    const load = this.jobOf(own).loads.find(({ to, table }) => `${to}.${table}` === own.name)
    return (
      load && html`mode ${load.mode}${load.key.length > 0 ? html`, key ${load.key.join(', ')}` : undefined}`
    )
  }

  private jobOf(own: ProjectTable) {
    return this.site.lineage.jobs.find(({ job }) => job === own.job)!
  }

  private modelOf(own: ProjectTable): Model | undefined {
    return own.kind === 'model' ? this.jobOf(own).models.find(({ name }) => name === own.name) : undefined
  }

  /** What is said of a table; of one that is loaded, of what it is made of. */
  private headerOf(own: ProjectTable): Model['header'] {
    const [from] = own.kind === 'loaded' ? own.reads : []
    const above = from === undefined ? undefined : this.site.lineage.tables.get(from)
    return (above ? this.modelOf(above) : this.modelOf(own))?.header
  }

  /** A table with those that are a few steps away. */
  private near(own: ProjectTable): GraphNode[] {
    const { tables } = this.site.lineage
    return near(tables, own.id).map(id => this.node(tables.get(id)!, '', own.id))
  }

  private node(each: ProjectTable, base: string, own?: string): GraphNode {
    return tableNode(each, this.site.lineage, `${base}${encodeURI(this.files.get(each.id)!)}`, own)
  }

  private link(id: string): Html {
    return html`<a href="${encodeURI(this.files.get(id)!)}">${this.site.lineage.tables.get(id)!.name}</a>`
  }

  private columnLink({ table, column }: ColumnId): Html {
    const found = this.site.lineage.tables.get(table)!
    return html`<a href="${encodeURI(this.files.get(table)!)}#${anchor(column)}">${found.name}.${column}</a>`
  }

  private page(title: string, body: Html, base: string): string {
    return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Html(STYLE)}</style></head><body>
${base ? html`<nav aria-label="Pages"><a href="${base}index.html">All tables</a></nav>` : undefined}<main>${body}</main>
<footer>Made by Nightfreight at ${moment(this.site.madeAt.toISOString())} · times are UTC</footer><script>${new Html(SCRIPT)}</script></body></html>
`.text
  }
}

const anchor = (column: string) => `column-${encodeURIComponent(column)}`

/** What a check demands: the rule of job.yaml, or its file. */
const ruleText = ({ file }: Check) => file.replace(/^.*:\d+(:\d+)?: (?=checks\.)/, '')

/** A bar a night: how many rows a check found. */
const checkBars = (nights: CheckNight[]) =>
  bars(
    nights.map(({ level, rows, startedAt }) => ({
      value: Math.max(rows, 0.1),
      tone: LEVEL_TONE[level],
      title: `${moment(startedAt)}: ${level}, ${counted(rows, 'row', count)}`,
    })),
  )
