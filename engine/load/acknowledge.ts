import type { Loaded } from '../contracts/load.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Extracted } from '../extract/extracted.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import type { RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { FORGETFUL, runTask } from '../runtime/task.ts'

/**
 * Lets sources tidy up what the targets now hold. Only after every commit: a run that is killed here, or abandoned,
 * leaves it to the next one, whose cursor still names what was read.
 */
export async function acknowledgeSources(
  context: RunContext,
  reads: PlannedRead[],
  extracted: Extracted[],
): Promise<void> {
  const cursors = new Map(reads.map(({ extract }, index) => [extract, extracted[index]!.cursor]))
  for (const read of reads) {
    const cursor = cursors.get(read.extract)
    if (cursor === undefined || read.changes) continue
    const source = context.sources.get(read.from)!
    if (!source.acknowledge) continue
    const others = context.spec.extracts
      .filter(({ name, from }) => from === read.from && name !== read.extract)
      .map(({ name, options }) => ({ options: options as object, cursor: cursors.get(name) }))
    await runTask(context, taskName('release', read.extract), async () => {
      const notes = await source.acknowledge!(read, cursor, context.signal, others)
      for (const note of notes) context.progress.note(`${read.where}: ${note}`)
      return true
    })
  }
}

/** What a run has read and loaded; `feeds`: per loaded table, the extracts that it is made from. */
interface Outcome {
  reads: PlannedRead[]
  extracted: Extracted[]
  loaded: Loaded[]
  feeds: Record<string, string[]>
}

/**
 * Lets servers forget what the targets now hold of their logs, whatever else of the run failed: one table that fails each night would
 * have them keep it for ever. Of an extract that is not loaded, what its next read begins with stays.
 */
export async function acknowledgeLogs(
  context: RunContext,
  outcome: Outcome,
  failures: FailureScope,
): Promise<void> {
  const followed = Map.groupBy(
    outcome.reads.filter(({ changes }) => changes),
    ({ from }) => from,
  )
  for (const [connection, reads] of followed) {
    const found = Map.groupBy(reads, read => isLoaded(context, outcome, failures, read))
    const [loaded, left] = [found.get(true) ?? [], found.get(false) ?? []]
    const [first] = loaded
    if (!first) continue
    const unplanned = context.spec.extracts.filter(
      ({ name, from, changes }) =>
        from === connection && changes && !reads.some(read => read.extract === name),
    )
    const missing = [...left.map(({ extract }) => extract), ...unplanned.map(({ name }) => name)]
    const log = context.sources.get(connection)!.changeLog!
    // A server that keeps its log by its own clock waits for nobody.
    if (missing.length > 0 && log.drop)
      context.progress.note(
        `${connection}: its server keeps its log from where ${missing.join(', ')} was loaded last, until that is loaded again`,
      )
    // Where one of these was read to before is known of those only that go on from there.
    if (unplanned.length > 0 || left.some(({ base }) => !base)) continue
    const positions = [
      // Of a table that was read whole, the log up to its snapshot may still be another's.
      ...loaded.map(({ extract, base, changes }) =>
        base ? changes!.until : cursorOf(outcome.extracted.find(found => found.extract === extract)!),
      ),
      ...left.map(cursorOf),
    ]
    const task = taskName('confirm', connection)
    // Whoever goes on with the run may load what is missing.
    const own = missing.length > 0 ? { ...context, tasks: FORGETFUL } : context
    const confirm = async ({ signal }: RunContext) => {
      await log.acknowledge(first.changes!.reader, positions, signal)
      return true
    }
    await failures.attempt([task], [], () => runTask(own, task, confirm))
  }
}

const cursorOf = ({ cursor }: { cursor?: unknown }) => (cursor as LogCursor).position

/** Whether all targets that an extract reaches have committed what it gave: the sync points that its next read begins with are this run's. */
function isLoaded(
  { spec }: RunContext,
  { extracted, feeds, loaded }: Outcome,
  failures: FailureScope,
  { extract }: PlannedRead,
): boolean {
  if (failures.lacks([extract]) || !extracted.some(found => found.extract === extract)) return false
  const made = Object.entries(feeds).map(([table, from]) => ({
    table,
    from: from.filter(name => spec.extracts.some(one => one.name === name)),
  }))
  // An extract that no load is made from counts for all, and so do all where a load is made from none.
  const feedsNone = !made.some(({ from }) => from.includes(extract))
  return made
    .filter(({ from }) => feedsNone || from.length === 0 || from.includes(extract))
    .every(({ table }) => loaded.some(one => one.table === table))
}
