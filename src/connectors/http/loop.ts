/** What {@link repeats} remembers; plain data, kept with a page's cursor. */
export interface Loop {
  last?: string
  kept?: string
  steps: number
  power: number
}

/**
 * Finds a cycle among the marks of pages in constant memory (Brent's algorithm): perhaps some rounds late, but surely.
 * Gives what to remember; undefined where the mark was given before.
 */
export function repeats(loop: Loop, mark: string): Loop | undefined {
  if (mark === loop.last || mark === loop.kept) return undefined
  if (loop.kept === undefined || loop.steps === loop.power)
    return { last: mark, kept: mark, steps: 0, power: loop.power * 2 }
  return { ...loop, last: mark, steps: loop.steps + 1 }
}
