import { Command } from 'commander'
import type { ColumnId, ProjectLineage, ProjectTable } from '../workbench/lineage.ts'
import type { ColumnTrace, Decider, Impact, Traced } from '../workbench/trace.ts'
import { homeFolder } from './home.ts'
import { print } from './output.ts'
import { inColumns } from './table.ts'

export function lineageCommand(): Command {
  return new Command('lineage')
    .description('Show what tables and columns are made of, and what is made of them, over all jobs')
    .argument('<job>', "the job's folder, or a folder of jobs")
    .argument('[column]', 'a table, or TABLE.COLUMN: of an extract, a model, or a table that is loaded')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Reads no source: columns are those that are declared, or that the last run knew. Of a column it shows what its values are made
of, which columns decide about its table's rows, what is made of it, and what would fail without it. Jobs in the same folder are
looked at, too: what one loads and another reads is one table where both have the same connection.

Examples:
  nightfreight lineage queries/members
  nightfreight lineage queries/members members_clean
  nightfreight lineage queries/members members.first_name
  nightfreight lineage queries warehouse.dim_members.first_name --json`,
    )
    .action(async (folder: string, text: string | undefined, { json = false }: { json?: boolean }) => {
      const { openLineage } = await import('../workbench/lineage.ts')
      const { decidersOf, findColumn, traceColumn } = await import('../workbench/trace.ts')
      const lineage = await openLineage(folder, homeFolder())
      const { left, own } = lineage
      const { table, column } = text === undefined ? {} : findColumn(lineage, text, own)
      const trace =
        table && column !== undefined ? traceColumn(lineage, { table: table.id, column }) : undefined
      const tables = [...lineage.tables.values()].filter(({ job }) => own === undefined || job === own)
      if (json) return print(JSON.stringify({ ...(trace ?? (table ? { table } : { tables })), left }))
      const shown = new LineageText(lineage)
      const lines = trace
        ? shown.column(trace)
        : table
          ? shown.table(table, decidersOf(lineage, table.id))
          : shown.overview(tables)
      print([...lines, ...left.map(({ job, reason }) => `left out: ${job}: ${reason}`)].join('\n'))
    })
}

/** Lineage in words; a table of the job that was asked for goes without the job's name. */
class LineageText {
  private readonly lineage: ProjectLineage

  constructor(lineage: ProjectLineage) {
    this.lineage = lineage
  }

  overview(tables: ProjectTable[]): string[] {
    const lines = tables.map(each => {
      const from = each.reads.map(id => this.of(id)).join(', ')
      return [this.of(each.id), [each.source && `read from ${each.source}`, from].filter(Boolean).join('; ')]
    })
    return inColumns(lines)
  }

  table(table: ProjectTable, deciders: Decider[]): string[] {
    const { tables, checks } = this.lineage
    const rows = table.columns.map(({ name, type, from }) => [
      name,
      type ?? '',
      from.map(each => this.name(each)).join(', '),
    ])
    const readers = [...tables.values()].filter(({ reads }) => reads.includes(table.id))
    return [
      `${this.of(table.id)}  (${this.where(table)})`,
      ...block('columns, with what they are made of', inColumns(rows)),
      ...block('rows decided by', this.deciders(deciders)),
      ...block(
        'read by',
        readers.map(({ id }) => this.of(id)),
      ),
      ...block(
        'checked by',
        checks.filter(({ judges }) => judges.includes(table.id)).map(({ file }) => file),
      ),
      ...block('not sure', table.unsure ? [table.unsure] : []),
    ]
  }

  column(trace: ColumnTrace): string[] {
    const { tables } = this.lineage
    const touched = [trace, ...trace.madeOf, ...trace.usedBy].map(each => tables.get(each.table))
    const unsure = [...new Set(touched)].flatMap(each =>
      each?.unsure ? [`${this.of(each.id)}: ${each.unsure}`] : [],
    )
    const isConstant = tables.get(trace.table)!.kind === 'model' && trace.madeOf.length === 0
    return [
      `${this.name(trace)}  ${trace.type ?? ''}`.trimEnd(),
      ...block(
        'made of',
        isConstant ? ['no column: a constant, or a count'] : this.tree(trace, trace.madeOf),
      ),
      ...block('rows decided by', this.deciders(trace.deciders)),
      ...block('used by', this.tree(trace, trace.usedBy)),
      ...block(
        'decides the rows of',
        trace.decides.map(id => this.of(id)),
      ),
      ...block(
        'and so reaches',
        trace.reaches.map(id => this.of(id)),
      ),
      ...block(
        'checked by',
        trace.checks.map(({ job, file }) => this.inJob(job, file)),
      ),
      ...block('without it', this.impact(trace.without)),
      ...block('not sure', unsure),
    ]
  }

  /** A line a table: the columns of its query's conditions, joins and groupings, and the checks that reject rows of it. */
  private deciders(all: Decider[]): string[] {
    return all.map(({ table, columns, checks }) => {
      const own = this.lineage.tables.get(table)!
      const parts = [
        columns.map(each => this.name(each)).join(', '),
        checks.length > 0 && `what ${checks.map(file => this.inJob(own.job, file)).join(', ')} rejects`,
      ]
      return `${this.of(table)} (${this.where(own)}): ${parts.filter(Boolean).join(', and ')}`
    })
  }

  private impact({ fails, loses, stops }: Impact): string[] {
    const lines = [
      ...fails.map(
        ({ job, what, line, column }) =>
          `fails     ${this.inJob(job, what)}${line ? `:${line}:${column}` : ''}`,
      ),
      ...stops.map(id => `not made  ${this.of(id)}`),
      ...loses.map(each => `lost      ${this.name(each)}`),
    ]
    return lines.length > 0 ? lines : ['nothing changes']
  }

  /** What was traced, each below what it was reached through. */
  private tree(start: ColumnId, traced: Traced[], indent = ''): string[] {
    return traced
      .filter(({ via }) => via.table === start.table && via.column === start.column)
      .flatMap(each => {
        const table = this.lineage.tables.get(each.table)!
        const place = table.columns.find(({ name }) => name === each.column)?.place
        const where = `${this.where(table)}${place ? `:${place.line}` : ''}`
        return [`${indent}${this.name(each)}  (${where})`, ...this.tree(each, traced, `${indent}  `)]
      })
  }

  private where({ kind, source, file, job }: ProjectTable): string {
    if (kind === 'extract') return `read from ${source}`
    return kind === 'loaded' ? `loaded by ${job}` : file
  }

  private of(id: string): string {
    const { own } = this.lineage
    return own !== undefined && id.startsWith(`${own}/`) ? id.slice(own.length + 1) : id
  }

  private name({ table, column }: ColumnId): string {
    return `${this.of(table)}.${column}`
  }

  private inJob(job: string, file: string): string {
    return job === this.lineage.own ? file : `${job}: ${file}`
  }
}

const block = (title: string, lines: string[]) =>
  lines.length > 0 ? ['', title, ...lines.map(line => `  ${line}`)] : []
