import type { Target } from '../contracts/target.ts'
import { errorData } from '../errors.ts'
import type { ProgressListener } from './context.ts'

/** Drops what a load staged. Where that fails, what is left is told: the load has ended as it has, and the next one drops it. */
export async function abandonStaged(
  target: Pick<Target, 'abandon'>,
  loadId: string,
  { note }: Pick<ProgressListener, 'note'>,
): Promise<void> {
  try {
    await target.abandon(loadId)
  } catch (error) {
    note(
      `what was staged for ${loadId} is not dropped, and the next load of the job drops it: ${errorData(error).message}`,
    )
  }
}
