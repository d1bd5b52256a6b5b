import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'

/** A foreign key between the tables of two loads. */
export interface Reference {
  child: string
  parent: string
}

/**
 * Loads in the order in which their rows can come: parents before the tables that refer to them, else as the job has
 * them. `circle`: tables that no order helps, since they refer to each other.
 */
export function parentsFirst(
  loads: StagedLoad[],
  references: Reference[],
): { ordered: StagedLoad[]; circle: string[] } {
  const ordered: StagedLoad[] = []
  const waiting = [...loads]
  const blocked = ({ table }: StagedLoad) =>
    references.some(
      ({ child, parent }) =>
        child === table && parent !== table && waiting.some(other => other.table === parent),
    )
  for (;;) {
    const next = waiting.findIndex(load => !blocked(load))
    if (next < 0) return { ordered: [...ordered, ...waiting], circle: waiting.map(({ table }) => table) }
    ordered.push(...waiting.splice(next, 1))
  }
}

/**
 * Applies a load; what it takes away goes before `between`, what it brings comes after. What rows of other tables still refer to
 * may go as late as with what it gives, which is called once all loads have brought theirs.
 */
export type Apply = (load: StagedLoad, between?: () => Promise<void>) => Promise<() => Promise<LoadCounts>>

/**
 * Applies the loads of a commit so that no foreign key between their tables is broken: what is gone leaves children
 * first, what is new comes parents first, and what was referred to until then goes at the end, children first again. `helps`
 * says what to do about a circle that the server checks row by row; `late`: the foreign keys that order the end, with those
 * that the server checks only then.
 */
export async function applyInOrder(
  loads: StagedLoad[],
  references: Reference[],
  apply: Apply,
  { helps = '', late = references }: { helps?: string; late?: Reference[] } = {},
): Promise<LoadCounts[]> {
  const ends = new Map<StagedLoad, () => Promise<LoadCounts>>()
  const ended = async () => {
    const counts: LoadCounts[] = []
    for (const load of parentsFirst(loads, late).ordered.toReversed()) counts.unshift(await ends.get(load)!())
    return counts
  }
  const { ordered, circle } = parentsFirst(loads, references)
  const upTo = async (index: number): Promise<void> => {
    const load = ordered[index]
    if (load) ends.set(load, await apply(load, () => upTo(index - 1)))
  }
  try {
    await upTo(ordered.length - 1)
    return await ended()
  } catch (error) {
    if (circle.length === 0 || !(error instanceof EngineError) || error.code !== 'CONSTRAINT_VIOLATED')
      throw error
    throw new EngineError(error.code, error.message, {
      cause: error,
      hint: `Nothing was loaded. ${circle.join(', ')} refer to each other in a circle: ${helps}`,
    })
  }
}
