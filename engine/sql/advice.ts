import { alwaysTrue, neverTrue, unreached, type Vain, vainly } from './conditions.ts'
import type { Scope } from './demands.ts'
import { fanOuts, type Known } from './fanOut.ts'
import type { Fault } from './faults.ts'
import { joinPitfalls } from './joined.ts'
import type { SqlGraph } from './model.ts'
import { momentPitfall } from './moments.ts'
import { conjuncts, firstPlace, isGenerated, type Query, type SqlNode } from './parse.ts'
import { notBoolean, type Pitfall, pitfallOf, undoneJoins } from './pitfalls.ts'
import { placeholders } from './placeholders.ts'
import { nodesIn, type Side, selectsIn, sideOf } from './selects.ts'
import { crossedColumns } from './setOperations.ts'
import { subqueryPitfall } from './subqueries.ts'
import { charactersIn, placeOf, tokensOf } from './text.ts'

/** What a query does that is allowed, and often gives other rows than were meant. */
export function adviceOf({ models, checks, queries }: SqlGraph, known: Known): Fault[] {
  const found: Fault[] = []
  const byTable = new Map(
    models.flatMap(({ name, file }) => (queries.has(file) ? [[name, queries.get(file)!] as const] : [])),
  )
  for (const { name, file, sql } of [...models, ...checks]) {
    const query = queries.get(file)
    const top = (query?.tree.statements as { node?: SqlNode }[] | undefined)?.[0]?.node
    if (!top || isGenerated(file)) continue
    const advise = (node: SqlNode, message: string, hint: string) => {
      const own = node.query_location
      const at = own !== undefined && own <= sql.length * 4 ? own : firstPlace(node)
      found.push({
        file,
        ...(at !== undefined && { place: placeOf(sql, charactersIn(sql, at)) }),
        message,
        hint,
      })
    }
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
    for (const output of isModel ? textsForColumns(top, known) : [])
      advise(
        output,
        `'${output.alias}' is a text, the same in every row, and not the column ${output.alias}`,
        `Write ${output.alias} without quotes.`,
      )
    for (const [name, at] of unreadCtes(top))
      advise(at, `nobody reads ${name}`, `Take ${name} out of WITH, or read it.`)
    const brackets = distinctBrackets(sql)
    if (brackets !== undefined)
      found.push({
        file,
        place: placeOf(sql, brackets),
        message: 'DISTINCT is of whole rows: its brackets say nothing',
        hint: 'Write DISTINCT ON (…) … ORDER BY …, for one row of each of these values.',
      })
    for (const each of crossedColumns(top)) advise(each.node, each.message, each.hint)
    if (!isModel) for (const each of levelPitfalls(top, query!)) advise(each.node, each.message, each.hint)
    const isCrossed = /\bcross\s+join\b/i.test(sql)
    for (const select of selectsIn(top)) {
      const follows = !isModel && select.node === top ? 'this check can never fail' : 'no row is found'
      const own = { ...select, known, queries: byTable, isCrossed, follows }
      new Select(own, advise).look()
      for (const each of fanOuts(select.node, select.ctes, known, select.node === top))
        advise(each.node, each.message, each.hint)
    }
  }
  return found
}

/** Outputs that are a text with the name of a column of what is read, and called like it. */
function textsForColumns(top: SqlNode, known: Known): SqlNode[] {
  const { table_name: table = '' } = (top.from_table as SqlNode | undefined) ?? {}
  const [, columns = []] =
    [...known.columns].find(([name]) => name.toLowerCase() === table.toLowerCase()) ?? []
  return ((top.select_list as SqlNode[] | undefined) ?? []).filter(({ type, value, alias }) => {
    const text = type === 'VALUE_CONSTANT' ? (value as { value?: unknown }).value : undefined
    return text !== undefined && text === alias && columns.some(({ name }) => name === text)
  })
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

/** Where SELECT DISTINCT (a), b has the bracket that is to tell rows apart by a alone. */
function distinctBrackets(sql: string): number | undefined {
  if (!/distinct\s*\(/i.test(sql)) return undefined
  const tokens = [...tokensOf(sql)]
  const is = (index: number, word: RegExp) => word.test(tokens[index]?.text ?? '')
  for (const [index, { start }] of tokens.entries()) {
    if (!is(index, /^\($/) || !is(index - 1, /^distinct$/i) || !is(index - 2, /^select$/i)) continue
    let depth = 0
    const end = tokens.findIndex(({ text }, at) => {
      if (at >= index) depth += text === '(' ? 1 : text === ')' ? -1 : 0
      return at >= index && depth === 0
    })
    if (is(end + 1, /^,$/)) return start
  }
  return undefined
}

/** A set check's level that is `pass` whatever the rows, or NULL for some of them. */
function levelPitfalls(top: SqlNode, { values }: Query): Pitfall[] {
  const level = ((top.select_list as SqlNode[] | undefined) ?? []).find(
    ({ alias }) => alias?.toLowerCase() === 'level',
  )
  if (!level) return []
  const texts = values.get('level') ?? []
  // What only measures something has a value for the next night to compare with.
  if (texts.length > 0 && texts.every(({ text }) => text === 'pass') && !values.has('value'))
    return [
      {
        node: level,
        message: "level is 'pass' in any case: this check can never fail",
        hint: "Write CASE WHEN … THEN 'stop' ELSE 'pass' END AS level.",
      },
    ]
  const other = level.type === 'CASE_EXPR' ? (level.else_expr as SqlNode) : undefined
  return other?.type === 'VALUE_CONSTANT' && (other.value as { is_null: boolean }).is_null
    ? [
        {
          node: level,
          message: 'level is NULL where no WHEN is true, which fails the run',
          hint: "Write ELSE 'pass' before END.",
        },
      ]
    : []
}

type Advise = (node: SqlNode, message: string, hint: string) => void

interface Selected {
  node: SqlNode
  ctes: ReadonlySet<string>
  known: Known
  /** Models, and their queries. */
  queries: ReadonlyMap<string, Query>
  /** Whether the text has a CROSS JOIN. */
  isCrossed: boolean
  /** What follows where no row fulfils its conditions. */
  follows: string
}

class Select {
  private readonly own: Selected
  private readonly node: SqlNode
  private readonly known: Known
  private readonly advise: Advise
  private readonly ctes: ReadonlySet<string>
  private readonly sides: Side[] = []
  /** Aliases of what is joined by LEFT JOIN. */
  private readonly outer = new Set<string>()
  /** Whether a join gives rows without a partner. */
  private isOuter = false

  constructor(own: Selected, advise: Advise) {
    this.own = own
    this.node = own.node
    this.ctes = own.ctes
    this.known = own.known
    this.advise = advise
  }

  look(): void {
    const { from_table, where_clause, select_list, having, qualify, modifiers } = this.node
    this.join(from_table as SqlNode)
    for (const each of undoneJoins(conjuncts(where_clause as SqlNode), this.outer)) this.tell(each)
    for (const each of conjuncts(where_clause as SqlNode))
      this.tell(notBoolean(each, column => this.columnOf(column)))
    const nodes = [...nodesIn([from_table, where_clause, select_list, having, qualify])]
    for (const node of nodes) this.expression(node)
    for (const each of placeholders(nodes)) this.tell(each)
    this.conditions(nodes)
    const limits = (modifiers as SqlNode[]) ?? []
    const limit = limits.find(({ type }) => type === 'LIMIT_MODIFIER')
    const { value: most } = ((limit?.limit as SqlNode | undefined)?.value ?? {}) as { value?: unknown }
    if (limit && most === 0) {
      this.advise(limit.limit as SqlNode, `LIMIT 0 takes no row: ${this.own.follows}`, 'Take it away.')
      return
    }
    if (limit && !limits.some(({ type }) => type === 'ORDER_MODIFIER'))
      this.advise(
        limit.limit as SqlNode,
        'LIMIT without ORDER BY takes other rows each time',
        'Say which: ORDER BY … LIMIT ….',
      )
  }

  /** What its conditions cannot decide, and its joins do not say. */
  private conditions(nodes: SqlNode[]): void {
    const { where_clause, having, qualify, group_expressions } = this.node
    const scope = (isGrouped: boolean): Scope => ({
      columnOf: column => this.columnOf(column),
      nameOf: column => this.nameOf(column),
      isGrouped,
      isNeverNull: column => this.isKey(column),
    })
    const isGrouped = ((group_expressions as unknown[] | undefined) ?? []).length > 0
    const joins = nodes.filter(({ type }) => type === 'JOIN')
    const tell = (vain: Vain | undefined, follows: string) => vain && this.tell(vainly(vain, follows))
    for (const clause of [where_clause, having, qualify] as (SqlNode | undefined)[])
      tell(neverTrue(clause, scope(isGrouped && clause === having)), this.own.follows)
    for (const { condition } of joins)
      tell(neverTrue(condition as SqlNode, scope(false)), 'no row has a partner')
    for (const clause of [where_clause, having, qualify, ...joins.map(({ condition }) => condition)])
      for (const each of conjuncts(clause as SqlNode))
        tell(alwaysTrue(each, scope(false)), 'the condition is true of every row that has a value there')
    for (const node of nodes)
      if (node.type === 'CASE_EXPR')
        for (const vain of unreached(node, scope(false))) tell(vain, 'its THEN is never given')
      else this.tell(subqueryPitfall(node, { ...this.own, sides: this.sides }))
    const joining = {
      sideOf: (node: SqlNode) => sideOf(node, this.ctes, [...this.known.columns.keys()]),
      ownerOf: (column: SqlNode) => this.ownerOf(column),
      isSingle: (table: string) => (this.known.rows?.get(table)?.length ?? 2) < 2,
      isCrossed: this.own.isCrossed,
    }
    for (const each of joinPitfalls(this.node, joining)) this.tell(each)
  }

  /** The alias of the table that a column is of; undefined where it is not known. */
  private ownerOf({ column_names: names }: SqlNode): string | undefined {
    const [first, second] = names!
    if (second !== undefined) return this.sides.find(({ alias }) => alias === first!.toLowerCase())?.alias
    const owners = this.sides.filter(({ table }) => table === undefined || this.has(table, first!))
    return owners.length === 1 && owners[0]!.table !== undefined ? owners[0]!.alias : undefined
  }

  private nameOf(column: SqlNode): string {
    const owner = this.ownerOf(column)
    const names = column.column_names!.map(name => name.toLowerCase())
    return owner === undefined || names.length > 2 ? names.join('.') : `${owner}.${names.at(-1)}`
  }

  /** Whether a column is an extract's key, and there is no row without. */
  private isKey(column: SqlNode): boolean {
    const owner = this.ownerOf(column)
    const side = this.sides.find(({ alias }) => alias === owner)
    if (!side?.table || this.isOuter || this.own.queries.has(side.table)) return false
    return (this.known.keys.get(side.table) ?? []).some(
      name => name.toLowerCase() === column.column_names!.at(-1)!.toLowerCase(),
    )
  }

  private has(table: string, column: string): boolean {
    return this.known.columns.get(table)!.some(({ name }) => name.toLowerCase() === column.toLowerCase())
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
    if (join_type !== 'INNER') this.isOuter = true
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
    const columnOf = (column: SqlNode) => this.columnOf(column)
    this.tell(pitfallOf(node, columnOf) ?? momentPitfall(node, columnOf))
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
