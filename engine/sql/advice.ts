import { fanOuts, type Known } from './fanOut.ts'
import type { Fault } from './faults.ts'
import type { SqlGraph } from './model.ts'
import { conjuncts, firstPlace, isGenerated, type SqlNode } from './parse.ts'
import { notBoolean, type Pitfall, pitfallOf, undoneJoins } from './pitfalls.ts'
import { nodesIn, type Side, selectsIn, sideOf } from './selects.ts'
import { charactersIn, placeOf } from './text.ts'

/** What a query does that is allowed, and often gives other rows than were meant. */
export function adviceOf({ models, checks, queries }: SqlGraph, known: Known): Fault[] {
  const found: Fault[] = []
  for (const { name, file, sql } of [...models, ...checks]) {
    const query = queries.get(file)
    const top = (query?.tree.statements as { node?: SqlNode }[] | undefined)?.[0]?.node
    if (!top || isGenerated(file)) continue
    const advise = ({ query_location: at }: SqlNode, message: string, hint: string) =>
      found.push({
        file,
        ...(at !== undefined && at <= sql.length * 4 && { place: placeOf(sql, charactersIn(sql, at)) }),
        message,
        hint,
      })
    const loaded = models.some(model => model.file === file)
      ? known.loads.filter(({ from }) => from === name)
      : []
    const star = ((top.select_list as SqlNode[] | undefined) ?? []).find(
      ({ type, columns }) => type === 'STAR' && columns === false,
    )
    if (loaded.length > 0 && star)
      advise(
        star,
        `* hands every column of what it reads to load.${loaded[0]!.table}: a new one in the source is a new one in the table`,
        'List the columns that the table is to have.',
      )
    const isModel = models.some(model => model.file === file)
    for (const output of isModel ? ((top.select_list as SqlNode[] | undefined) ?? []) : [])
      if (!output.alias && !['STAR', 'COLUMN_REF'].includes(output.type!))
        advise(
          output,
          'a column without a name has its text for one',
          output.type === 'VALUE_CONSTANT'
            ? 'Write … AS name; was a decimal point meant, in place of a comma?'
            : 'Write … AS name.',
        )
    for (const [name, at] of unreadCtes(top))
      advise(at, `nobody reads ${name}`, `Take ${name} out of WITH, or read it.`)
    for (const select of selectsIn(top)) {
      new Select(select.node, select.ctes, known, advise).look()
      for (const each of fanOuts(select.node, select.ctes, known, select.node === top))
        advise(each.node, each.message, each.hint)
    }
  }
  return found
}

/** CTEs that no FROM names: DuckDB does not even bind them. */
function unreadCtes(top: SqlNode): [string, SqlNode][] {
  const own = new Map<string, SqlNode>()
  const read = new Set<string>()
  const visit = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return
    const each = node as SqlNode
    for (const { key, value } of each.cte_map?.map ?? []) own.set(key, value.query?.node ?? {})
    if (each.type === 'BASE_TABLE') read.add((each.table_name ?? '').toLowerCase())
    for (const child of Object.values(each)) visit(child)
  }
  visit(top)
  return [...own]
    .filter(([name]) => !read.has(name.toLowerCase()))
    .map(([name, node]) => {
      const at = firstPlace(node)
      return [name, at === undefined ? {} : { query_location: at }]
    })
}

type Advise = (node: SqlNode, message: string, hint: string) => void

class Select {
  private readonly node: SqlNode
  private readonly known: Known
  private readonly advise: Advise
  private readonly ctes: ReadonlySet<string>
  private readonly sides: Side[] = []
  /** Aliases of what is joined by LEFT JOIN. */
  private readonly outer = new Set<string>()

  constructor(node: SqlNode, ctes: ReadonlySet<string>, known: Known, advise: Advise) {
    this.node = node
    this.ctes = ctes
    this.known = known
    this.advise = advise
  }

  look(): void {
    const { from_table, where_clause, select_list, having, qualify, modifiers } = this.node
    this.join(from_table as SqlNode)
    for (const each of undoneJoins(conjuncts(where_clause as SqlNode), this.outer)) this.tell(each)
    for (const each of conjuncts(where_clause as SqlNode))
      this.tell(notBoolean(each, column => this.columnOf(column)))
    for (const expression of [from_table, where_clause, select_list, having, qualify])
      for (const node of nodesIn(expression)) this.expression(node)
    const limits = (modifiers as SqlNode[]) ?? []
    const limit = limits.find(({ type }) => type === 'LIMIT_MODIFIER')
    if (limit && !limits.some(({ type }) => type === 'ORDER_MODIFIER'))
      this.advise(
        limit.limit as SqlNode,
        'LIMIT without ORDER BY takes other rows each time',
        'Say which: ORDER BY … LIMIT ….',
      )
  }

  /** Gives the tables below a FROM, and looks at each join on the way. */
  private join(node: SqlNode): Side[] {
    if (node?.type !== 'JOIN') {
      const side = sideOf(node, this.ctes, [...this.known.columns.keys()])
      if (node?.type === 'BASE_TABLE') this.sides.push(side)
      return [side]
    }
    const left = this.join(node.left as SqlNode)
    const right = this.join(node.right as SqlNode)
    const { join_type, ref_type } = node as { join_type?: string; ref_type?: string }
    const [side] = right
    if (join_type === 'LEFT') for (const { alias } of right) this.outer.add(alias)
    if (ref_type === 'CROSS' && !this.node.where_clause && side?.table && left.some(({ table }) => table))
      this.advise(
        node.right as SqlNode,
        `every row is joined with every row of ${side.table}`,
        `Say which belong together: JOIN ${side.table} ON …; or CROSS JOIN a table of one row.`,
      )
    return [...left, ...right]
  }

  private expression(node: SqlNode): void {
    if (
      node.type === 'WINDOW_ROW_NUMBER' &&
      (node.orders as unknown[]).length === 0 &&
      (node.arg_orders as unknown[]).length === 0
    )
      this.advise(
        node,
        'row_number() without ORDER BY numbers the rows otherwise each time',
        'Write OVER (PARTITION BY … ORDER BY …), by columns that no two rows have the same of.',
      )
    this.tell(pitfallOf(node, column => this.columnOf(column)))
    if (node.class !== 'COMPARISON' || !node.left || !node.right) return
    const [left, right] = [node.left as SqlNode, node.right as SqlNode]
    const isNull = ({ type, value }: SqlNode) =>
      type === 'VALUE_CONSTANT' && (value as { is_null: boolean }).is_null
    if (/^COMPARE_(NOT)?EQUAL$/.test(node.type!) && (isNull(left) || isNull(right))) {
      const is = node.type === 'COMPARE_EQUAL' ? 'IS NULL' : 'IS NOT NULL'
      this.advise(node, 'a comparison with NULL is never true', `Write ${is}.`)
      return
    }
    const [a, b] = [this.typed(left), this.typed(right)]
    const text = a?.kind === 'text' ? a : b?.kind === 'text' ? b : undefined
    const other = text === a ? b : a
    if (text?.column && other && other.kind !== 'text')
      this.advise(
        node,
        `${text.shown} is VARCHAR and is compared with ${other.shown}: each value is cast to ${other.type}, and one that is none fails the run`,
        `Write TRY_CAST(${text.shown} AS ${other.type}), which gives NULL for such a value.`,
      )
  }

  private tell(pitfall: Pitfall | undefined): void {
    if (pitfall) this.advise(pitfall.node, pitfall.message, pitfall.hint)
  }

  private columnOf(node: SqlNode): { type: string; shown: string } | undefined {
    const found = this.typed(node)
    return found?.column ? found : undefined
  }

  /** The type of a column or a literal, as far as it is known. */
  private typed(
    node: SqlNode,
  ): { kind: 'text' | 'other'; type: string; shown: string; column: boolean } | undefined {
    if (node.type === 'VALUE_CONSTANT') {
      const { type, value } = node.value as { type: { id: string }; value?: unknown }
      if (!/^(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|^DECIMAL$|^DOUBLE$/.test(type.id)) return undefined
      const shown = type.id === 'DECIMAL' ? 'a number' : String(value)
      return { kind: 'other', type: type.id === 'DECIMAL' ? 'DOUBLE' : type.id, shown, column: false }
    }
    if (node.type !== 'COLUMN_REF') return undefined
    const [first, second] = node.column_names!
    const sides =
      second === undefined ? this.sides : this.sides.filter(({ alias }) => alias === first!.toLowerCase())
    if (sides.some(({ table }) => table === undefined)) return undefined
    const name = (second ?? first!).toLowerCase()
    const found = sides.flatMap(({ table }) =>
      this.known.columns.get(table!)!.filter(column => column.name.toLowerCase() === name),
    )
    if (found.length !== 1) return undefined
    const { type } = found[0]!
    return {
      kind: type === 'VARCHAR' ? 'text' : 'other',
      type,
      shown: node.column_names!.join('.'),
      column: true,
    }
  }
}
