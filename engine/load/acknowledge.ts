import type { LogPosition } from '../contracts/source.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Extracted } from '../extract/extracted.ts'
import type { LogCursor, PlannedRead } from '../plan/plan.ts'
import type { RunContext } from '../runtime/context.ts'
import { runTask } from '../runtime/task.ts'

/**
 * Lets sources tidy up what the targets now hold. Only after every commit: a run that is killed here, or abandoned,
 * leaves it to the next one, whose cursor still names what was read.
 */
export async function acknowledgeSources(
  context: RunContext,
  reads: PlannedRead[],
  extracted: Extracted[],
): Promise<void> {
  const told = new Map<string, { reader: string; position: LogPosition }>()
  const cursors = new Map(reads.map(({ extract }, index) => [extract, extracted[index]!.cursor]))
  for (const [index, read] of reads.entries()) {
    const { cursor } = extracted[index]!
    if (read.changes) {
      const { reader, until } = read.changes
      const position = read.base ? until : (cursor as LogCursor).position
      if (!told.has(read.from)) told.set(read.from, { reader, position })
      // Of a table that was read whole, the log up to its snapshot may still be another's.
      else if (read.base) told.get(read.from)!.position = until
      continue
    }
    if (cursor === undefined) continue
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
  for (const [connection, { reader, position }] of told)
    await runTask(context, taskName('confirm', connection), async ({ signal }) => {
      await context.sources.get(connection)!.changeLog!.acknowledge(reader, position, signal)
      return true
    })
}
