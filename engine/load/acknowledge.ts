import { taskName } from '../contracts/taskName.ts'
import type { Extracted } from '../extract/extract.ts'
import type { PlannedRead } from '../plan/plan.ts'
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
  for (const [index, read] of reads.entries()) {
    const source = context.sources.get(read.from)!
    const { cursor } = extracted[index]!
    if (!source.acknowledge || cursor === undefined) continue
    await runTask(context, taskName('release', read.extract), async () => {
      await source.acknowledge!(read, cursor, context.signal)
      return true
    })
  }
}
