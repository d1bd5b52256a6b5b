import type { ExtractSpec } from '../../engine/contracts/source.ts'
import { isSensitive } from '../../engine/mask.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { JobConnection } from '../spec/job.ts'
import type { Document } from './document.ts'
import { commonExtract, IDENTIFIER } from './schema.ts'
import { validate } from './validate.ts'
import type { Expanded } from './wildcards.ts'

const COMMON = Object.keys(commonExtract.shape)

/** Of an extract whose keys are not all right: what its loads and the schedule go by, so that they are not blamed for it. */
export const understoodExtract = (name: string, keys: Record<string, unknown>) => ({
  name,
  from: String(keys.from),
  key: textsIn(keys.key),
  columns: {},
  sensitive: textsIn(keys.sensitive),
  ...(keys.mode === 'changes' && { changes: { history: false } }),
  options: {},
})

const textsIn = (value: unknown) => [value ?? []].flat().map(String)

/** Splits each extract's keys between the common ones and its connector's, and checks both. */
export function readExtracts(
  document: Document,
  yaml: Expanded,
  connections: Record<string, JobConnection>,
): { extracts: ExtractSpec[]; pools: Record<string, string> } {
  const extracts: ExtractSpec[] = []
  const pools: Record<string, string> = {}
  for (const [name, keys] of Object.entries(yaml.extract)) {
    const path = ['extract', name]
    if (!IDENTIFIER.test(name))
      document.problem(path, `extract "${name}": a name is letters, digits and _, not a digit first`, 'key')
    const connection = typeof keys.from === 'string' ? ownValue(connections, keys.from) : undefined
    const shape = connection?.connector.extract.shape ?? {}
    // A key that the connector declares is the connector's, even where its name is a common one.
    const isCommon = ([key]: [string, unknown]) => COMMON.includes(key) && !Object.hasOwn(shape, key)
    const entries = Object.entries(keys)
    const common = validate(document, path, commonExtract, Object.fromEntries(entries.filter(isCommon)))
    if (typeof keys.from === 'string' && !Object.hasOwn(yaml.connections, keys.from))
      document.problem(
        [...path, 'from'],
        `extract.${name}.from: no connection "${keys.from}"${didYouMean(keys.from, Object.keys(yaml.connections))}`,
      )
    if (!connection || !common) extracts.push(understoodExtract(name, keys))
    if (!connection) continue
    const { connector } = connection
    const own = Object.fromEntries(entries.filter(entry => !isCommon(entry)))
    // What is not named otherwise has the name that the job gives it.
    if (Object.hasOwn(shape, 'table') && own.table === undefined && own.query === undefined) own.table = name
    if (connector.name === 'job') own.model ??= name
    if (own.table !== undefined && own.query !== undefined)
      document.problem([...path, 'query'], `extract.${name}.query: either table or query`, 'key')
    const param = common?.incremental?.param
    if (param !== undefined) {
      const option = ['sinceParam', 'since_param'].find(key => Object.hasOwn(shape, key))
      if (option) own[option] = param
      else
        document.problem(
          [...path, 'incremental', 'param'],
          `extract.${name}.incremental.param: a ${connector.name} connection takes no parameter`,
          'key',
        )
    }
    const options = validate(document, path, connector.extract.strict(), own, COMMON)
    if (!connector.capabilities.source)
      document.problem([...path, 'from'], `extract.${name}.from: ${connector.name} cannot be read from`)
    if (common?.incremental && !connector.capabilities.incremental)
      document.problem(
        [...path, 'incremental'],
        `extract.${name}.incremental: ${connector.name} reads whole tables only`,
        'key',
      )
    if (!common) continue
    const {
      from,
      key,
      columns,
      incremental,
      on_duplicate: onDuplicate,
      on_error: onError,
      drift,
      refresh,
      pool,
      sensitive,
      mode,
      history,
      reconcile,
    } = common
    if (incremental?.find_deletes && !connector.capabilities.keys)
      document.problem(
        [...path, 'incremental', 'find_deletes'],
        `extract.${name}.incremental.find_deletes: ${connector.name} cannot give the keys alone`,
        'key',
      )
    if (incremental && isSensitive(sensitive, incremental.column))
      document.problem(
        [...path, 'sensitive'],
        `extract.${name}.sensitive: ${incremental.column} says how far the table is read, which is kept and shown`,
      )
    if (refresh !== undefined && incremental)
      document.problem(
        [...path, 'refresh'],
        `extract.${name}.refresh: is for tables that are read whole, not incrementally`,
        'key',
      )
    if (mode === 'changes' && !connector.capabilities.changes)
      document.problem(
        [...path, 'mode'],
        `extract.${name}.mode: ${connector.name} has no log of changes to read`,
        'key',
      )
    const { where, select, omit, query, rename } = own
    for (const [key, set] of Object.entries({ incremental, refresh, where, select, omit, query, rename }))
      if (mode === 'changes' && set !== undefined)
        document.problem(
          [...path, key],
          `extract.${name}.${key}: the log of changes says what changed: leave out ${key}, or mode: changes`,
          'key',
        )
    if (history && mode !== 'changes')
      document.problem([...path, 'history'], `extract.${name}.history: goes with mode: changes`, 'key')
    if (reconcile !== undefined && mode !== 'changes')
      document.problem([...path, 'reconcile'], `extract.${name}.reconcile: goes with mode: changes`, 'key')
    connection.context.extracts = [
      ...(connection.context.extracts ?? []),
      ...(options ? [{ name, options }] : []),
    ]
    extracts.push({
      name,
      from,
      key,
      ...(Object.hasOwn(yaml.catalog, name) && { catalog: yaml.catalog[name]! }),
      columns,
      ...(onDuplicate && { onDuplicate }),
      ...(onError === 'continue' && { onError }),
      ...(sensitive.length > 0 && { sensitive }),
      ...(drift && { drift }),
      ...(refresh !== undefined && { refresh }),
      ...(mode === 'changes' && { changes: { history, ...(reconcile !== undefined && { reconcile }) } }),
      ...(incremental && {
        incremental: {
          column: incremental.column,
          lag: incremental.lag,
          nulls: incremental.nulls,
          future: incremental.future,
          ...(incremental.find_deletes && { findDeletes: true }),
        },
      }),
      options,
    })
    if (pool !== undefined) pools[name] = pool
  }
  return { extracts, pools }
}
