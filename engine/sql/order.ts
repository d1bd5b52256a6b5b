import type { Fault } from './faults.ts'
import type { Macro } from './macros.ts'
import type { OrderedCheck, OrderedModel } from './model.ts'
import type { Mention } from './parse.ts'
import { placeOf, tokensOf } from './text.ts'

/** The macros among `macros` that are called, by these mentions or by each other. */
export const usedMacros = <M extends Macro>(
  { functions, tableFunctions }: Macro['mentions'],
  macros: M[],
): M[] => {
  const found = new Set<M>()
  const visit = (mentions: Mention[]) => {
    for (const { name } of mentions)
      for (const macro of macros)
        if (macro.name.toLowerCase() === name && !found.has(macro)) {
          found.add(macro)
          visit([...macro.mentions.functions, ...macro.mentions.tableFunctions])
        }
  }
  visit([...functions, ...tableFunctions])
  return [...found]
}

/** Macros, each after those that it calls; a circle is a fault. */
export function orderMacros(macros: Macro[], byName: Map<string, Macro>, faults: Fault[]): Macro[] {
  const ordered = new Set<Macro>()
  const visit = (macro: Macro, path: Macro[]) => {
    if (ordered.has(macro)) return
    if (path.includes(macro)) {
      const names = [...path.slice(path.indexOf(macro)), macro].map(({ name }) => name)
      faults.push({
        file: macro.file,
        place: macro.place,
        message: `macros call each other: ${names.join(' → ')}`,
      })
      return
    }
    const { functions, tableFunctions } = macro.mentions
    for (const { name } of [...functions, ...tableFunctions]) {
      const called = byName.get(name)
      if (called) visit(called, [...path, macro])
    }
    ordered.add(macro)
  }
  for (const macro of macros) visit(macro, [])
  return [...ordered]
}

/** Tables in an order in which each comes after those it needs; a circle is a fault. */
export function orderNodes(nodes: OrderedModel[], checks: OrderedCheck[], faults: Fault[]): OrderedModel[] {
  const byName = new Map(nodes.map(node => [node.name, node]))
  const ordered = new Set<OrderedModel>()
  const visit = (node: OrderedModel, path: OrderedModel[]) => {
    if (ordered.has(node)) return
    if (path.includes(node)) {
      faults.push(circle([...path.slice(path.indexOf(node)), node], checks))
      return
    }
    for (const name of [...node.reads, ...node.awaits]) {
      const next = byName.get(name)
      if (next) visit(next, [...path, node])
    }
    ordered.add(node)
  }
  for (const node of nodes) visit(node, [])
  return [...ordered]
}

/** What is wrong where each of `path` needs the next, and the last is the first. */
function circle(path: OrderedModel[], checks: OrderedCheck[]): Fault {
  const names = path.map(({ name }) => name)
  for (const [index, node] of path.slice(0, -1).entries()) {
    const next = path[index + 1]!
    if (node.reads.includes(next.name)) continue
    const guilty = checks.find(({ model, reads }) => model === node.name && reads.includes(next.name))!
    return {
      file: guilty.file,
      message: `reads ${next.name}, which is made from ${node.name}${names.length > 3 ? ` (${[...names.slice(index + 1), ...names.slice(1, index + 1)].join(' → ')})` : ''}`,
      hint: `${next.name} sees the rows of ${node.name} that are good, which is what the check decides: let it check ${next.name}, or be a set check.`,
    }
  }
  const [{ file, sql }] = path as [OrderedModel]
  const mention = [...tokensOf(sql)].find(
    ({ text }) => text.replaceAll('"', '').toLowerCase() === names[1]!.toLowerCase(),
  )
  return {
    file,
    ...(mention && { place: placeOf(sql, mention.start) }),
    message: names.length === 2 ? `${names[0]} reads itself` : `models read each other: ${names.join(' → ')}`,
    hint: 'Take what both need into a model of its own, which both read.',
  }
}
