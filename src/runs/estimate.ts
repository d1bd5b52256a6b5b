/**
 * Seconds that loading `rows` rows may take, going by earlier loads: no faster than the fastest of them per row, and
 * no shorter than the shortest. Undefined where there is none.
 */
export function estimateSeconds(
  earlier: { rows: number; seconds: number }[],
  rows: number,
): number | undefined {
  if (earlier.length === 0) return undefined
  const shortest = Math.min(...earlier.map(({ seconds }) => seconds))
  const rate = Math.max(...earlier.map(load => load.rows / Math.max(load.seconds, 0.001)))
  return rate > 0 ? Math.max(shortest, rows / rate) : shortest
}
