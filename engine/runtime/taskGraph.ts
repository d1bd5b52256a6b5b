import { createHash } from 'node:crypto'
import type { LoadSpec } from '../contracts/load.ts'
import { type TaskName, taskName } from '../contracts/taskName.ts'
import { extractsOf } from '../sql/graph.ts'
import type { OrderedModel } from '../sql/model.ts'
import { variablesIn } from '../sql/variables.ts'
import type { FlowSpec } from './spec.ts'

/** One task of a job. */
export interface Task {
  /** Tasks whose output it reads. */
  after: string[]
  /** SHA-256 (hex) of what its output depends on beside the data: its own part of the job and those of `after`. */
  fingerprint: string
  /** A model that leaves no output of its own. */
  view?: true
}

/**
 * The tasks of a job, each after those it reads: `plan`, `extract.CONNECTION`, `types.EXTRACT`, `bucket.MODEL.NUMBER`, `model.MODEL`,
 * `diff.TABLE`, `load.CONNECTION`. `models` are in the order of their dependencies.
 */
export function taskGraph(spec: FlowSpec, models: OrderedModel[]): Map<string, Task> {
  const tasks = new Map<string, Task>()
  const add = (name: string, after: string[], own: unknown) => {
    const hash = createHash('sha256').update(JSON.stringify(own))
    for (const task of after) hash.update(tasks.get(task)!.fingerprint)
    tasks.set(name, { after, fingerprint: hash.digest('hex') })
  }
  const { extracts, loads, checks, macros, vars = {} } = spec
  const targets = [...new Set(loads.map(({ to }) => to))]
  // How a source's catalogue has a table decides nothing of how it is read.
  add('plan', [], [extracts.map(({ catalog: _, ...extract }) => extract), targets])
  for (const connection of new Set(extracts.map(({ from }) => from)))
    add(taskName('extract', connection), ['plan'], '')
  for (const { name, from } of extracts) {
    const rules = loads.filter(load => load.from === name).map(keyRule)
    add(taskName('types', name), [taskName('extract', from)], rules)
  }
  const keysOf = (name: string) => loads.filter(({ from }) => from === name).map(({ key }) => key)
  const source = (table: string) =>
    taskName(models.some(({ name }) => name === table) ? 'model' : 'types', table)
  const sqls = (files: { sql: string }[]) => files.map(({ sql }) => sql)
  // Nothing where they ask for none: the fingerprints of such tasks are those of earlier versions.
  const values = (texts: string[]) => {
    const asked = (variablesIn(texts) ?? Object.keys(vars)).filter(name => Object.hasOwn(vars, name))
    return asked.length > 0 ? [asked.map(name => [name, vars[name]])] : []
  }
  for (const { name, sql, reads, awaits, enrich, buckets, inline, extract } of models) {
    const own = checks.filter(({ model }) => model === name)
    const read = extract ? [taskName('types', name)] : reads.map(source)
    const made = buckets ? bucketTasks({ name, buckets }) : []
    const query = [sql, ...sqls(macros)]
    for (const bucket of made) add(bucket, read, [sql, sqls(macros), ...values(query)])
    add(
      taskName('model', name),
      [...new Set([...read, ...made, ...awaits.map(source)])],
      [
        ...[sql, sqls(own), sqls(macros), keysOf(name)],
        ...(enrich ? [enrich.version] : []),
        ...values([...query, ...sqls(own)]),
      ],
    )
    if (inline) tasks.get(taskName('model', name))!.view = true
  }
  for (const load of loads) {
    add(taskName('diff', load.table), [taskName('model', load.from)], load)
  }
  for (const to of targets) {
    const own = loads.filter(load => load.to === to)
    add(
      taskName('load', to),
      own.map(({ table }) => taskName('diff', table)),
      '',
    )
  }
  return tasks
}

/** The tasks that make a model's buckets, in the order of their rows. */
export const bucketTasks = ({ name, buckets }: Pick<OrderedModel, 'name' | 'buckets'>): TaskName[] =>
  Array.from({ length: buckets?.count ?? 0 }, (_, number) => taskName('bucket', `${name}.${number}`))

/** The number of the bucket that a task makes. */
export const bucketOf = (task: string): number => Number(task.slice(task.lastIndexOf('.') + 1))

const keyRule = ({ key, newer, onDuplicate }: LoadSpec) => [key, newer, onDuplicate]

/** A task and all that is made from it, directly or not. */
export function downstream(tasks: Map<string, Task>, task: string): string[] {
  const found = new Set([task])
  for (const [name, { after }] of tasks) if (after.some(each => found.has(each))) found.add(name)
  return [...found]
}

/** A task and all that it is made from. */
export function upstream(tasks: Map<string, Task>, task: string): string[] {
  const found = new Set<string>()
  const visit = (name: string) => {
    if (found.has(name)) return
    found.add(name)
    tasks.get(name)!.after.forEach(visit)
  }
  visit(task)
  return [...found]
}

/** Whether an extract's rows reach a target: one that no load is made from counts for all, and so do all where a load is made from none. */
export function feeds(spec: Pick<FlowSpec, 'extracts' | 'loads'>, models: OrderedModel[]) {
  const names = spec.extracts.map(({ name }) => name)
  const made = spec.loads.map(({ to, from }) => ({
    to,
    from: extractsOf(from, models).filter(name => names.includes(name)),
  }))
  return (extract: string, target: string): boolean => {
    const own = made.filter(({ to }) => to === target)
    return (
      own.some(({ from }) => from.length === 0 || from.includes(extract)) ||
      !made.some(({ from }) => from.includes(extract))
    )
  }
}
