/** A task of an earlier run. Times in milliseconds. */
export interface PastTask {
  run: string
  task: string
  took: number
  /** From its end to the run's. */
  after: number
}

/** A task of this run; `end` undefined while it goes on. */
export interface CurrentTask {
  task: string
  start: number
  end?: number
}

/** A table on its way, of a task in the store. */
export interface Progress {
  task: string
  start: number
  rows: number
  /** Rows expected; undefined: nobody knows. */
  of?: number
}

/** Less than this of a table tells nothing of the rest. */
const TELLING = 0.02

/**
 * When a run will end, milliseconds as given; undefined where nothing tells. What is left after a task is taken from
 * earlier runs (their median); a running task ends no sooner than its rows can, at the rate so far. Tasks run side by
 * side: the latest of all these ends counts.
 */
export function forecast(
  now: number,
  tasks: CurrentTask[],
  progress: Progress[],
  past: PastTask[],
): number | undefined {
  const earlier = Map.groupBy(past, ({ task }) => task)
  const typical = (task: string, what: 'took' | 'after') =>
    median((earlier.get(task) ?? []).map(each => each[what]))
  // What an ended task left open, another has taken up: the one that ended last knows best.
  const running = tasks.filter(({ end }) => end === undefined)
  const last = tasks.filter(({ end }) => end !== undefined).sort((a, b) => b.end! - a.end!)[0]
  const telling = new Set([...running, ...(last ? [last] : [])].map(({ task }) => task))
  const judged = tasks.flatMap(({ task, start, end }) => {
    const [took, after] = [typical(task, 'took'), typical(task, 'after')]
    if (!telling.has(task) || took === undefined || after === undefined) return []
    return [(end ?? Math.max(now, start + took)) + after]
  })
  for (const { task, start, rows, of } of progress) {
    if (of === undefined || rows < of * TELLING || rows >= of) continue
    judged.push(now + ((now - start) * (of - rows)) / rows + (typical(task, 'after') ?? 0))
  }
  return judged.length === 0 ? undefined : Math.max(now, ...judged)
}

function median(values: number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}
