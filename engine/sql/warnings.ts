import type { LoadSpec } from '../contracts/load.ts'
import { isFor } from '../contracts/semantics.ts'
import type { Fault } from './faults.ts'
import type { OrderedModel, SqlGraph } from './model.ts'
import { placeOf } from './text.ts'

/** Functions without brackets. */
const MOMENT = /^(current|local)_?(date|time|timestamp)$/

/** What is allowed in a job's SQL and seldom meant. */
export function warningsOf({ models, checks, queries }: SqlGraph, loads: LoadSpec[]): Fault[] {
  const warnings: Fault[] = []
  const read = new Set([...models, ...checks].flatMap(({ reads }) => reads))
  // What a file that does not parse reads, nobody knows.
  const parsed = [...models, ...checks].every(
    ({ file, extract }: Partial<OrderedModel>) => extract || queries.has(file!),
  )
  for (const { name, file, sql, extract, enrich, volatile } of models) {
    if (extract) continue
    const own = loads.filter(({ from }) => from === name)
    if (parsed && !read.has(name) && own.length === 0 && !enrich)
      warnings.push({
        file,
        message: `nobody reads ${name}: no model, check or load`,
      })
    const [first] = volatile
    if (!first) continue
    const names = volatile.map(mention => mention.name)
    const outputs = (queries.get(file)?.outputs ?? [])
      .filter(({ mentions }) => mentions.some(mention => names.includes(mention)))
      .map(output => output.name)
    const among = (names: string[], column: string) =>
      names.some(name => name.toLowerCase() === column.toLowerCase())
    const left = ({ ignore, compare }: LoadSpec, column: string) =>
      among(ignore, column) || (compare.length > 0 && !among(compare, column))
    if (outputs.length > 0 && own.length > 0 && own.every(load => outputs.every(name => left(load, name))))
      continue
    const moment = !/random|uuid|sample/.test(first.name)
    const called = /^\w+$/.test(first.name) && !MOMENT.test(first.name) ? `${first.name}()` : first.name
    const ignored =
      outputs.length > 0 && own.every(({ mode }) => isFor('ignore', mode))
        ? `ignore: [${outputs.join(', ')}] of the load leaves such columns out of the comparison${moment ? ': the time of the run is another each night, too' : ''}`
        : ''
    const so = outputs.length > 0 ? 'every row is an update each night' : 'what comes of it may, too'
    warnings.push({
      file,
      ...(first.at !== undefined && { place: placeOf(sql, first.at) }),
      message: `${called} differs at each run, so ${so}${moment ? "; use getvariable('run_at')" : ''}`,
      hint: moment
        ? ignored
        : [`Make it of the row's own values, as md5(…) does`, ignored].filter(Boolean).join('; '),
    })
  }
  return warnings
}
