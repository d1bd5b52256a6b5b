/** Bytes or characters that long values of MySQL hold. */
const HOLDS: Record<string, number> = { tiny: 0xff, '': 0xffff, medium: 0xffffff, long: 0xffffffff }

/**
 * Whether a column that is of the same kind as before holds fewer values, by its type as the source writes it: the source may have cut,
 * rounded or emptied those that it had, in rows that it does not tell as changed.
 */
export function isNarrowed(was: string, now: string): boolean {
  const before = labelsOf(was)
  const labels = labelsOf(now)
  if (labels) return !before?.every(label => labels.includes(label))
  if (before || (/^text$/i.test(now) && roomIn(was) === Number.POSITIVE_INFINITY)) return false
  // Of a fixed length: with more, all of them end otherwise.
  if (/^binary\(/i.test(was) && /^binary\(/i.test(now)) return was.toLowerCase() !== now.toLowerCase()
  const [whole, places] = [placesOf(was), placesOf(now)]
  if (whole && places) return places.scale < whole.scale || places.whole < whole.whole
  if (places) return /^(float|double|decimal|numeric)/i.test(was)
  return whole === undefined && roomIn(now) < roomIn(was)
}

/** Of `decimal(40,10)`, `double(10,4)`: the digits before and behind the point. */
function placesOf(native: string): { whole: number; scale: number } | undefined {
  const [, precision, scale] = /^(?:float|double|decimal|numeric)[^(]*\((\d+),(-?\d+)\)/i.exec(native) ?? []
  return scale === undefined ? undefined : { whole: Number(precision) - Number(scale), scale: Number(scale) }
}

/** `enum('a','b')`: its labels, as they are written. */
const labelsOf = (native: string): string[] | undefined =>
  /^(enum|set)\(/i.test(native) ? (native.match(/'(?:[^']|'')*'/g) ?? []) : undefined

/** How much a value may have: characters, bytes, or places of a second. */
function roomIn(native: string): number {
  const [, size] = /^[^(]*\((\d+)\)/.exec(native) ?? []
  if (size !== undefined) return Number(size)
  // Without places, those of MySQL have none; Postgres's, which have six, are written with their zone.
  if (/^(datetime|timestamp|time)$/i.test(native)) return 0
  const [, prefix] = /^(tiny|medium|long|)(?:text|blob)$/i.exec(native) ?? []
  return prefix === undefined ? Number.POSITIVE_INFINITY : HOLDS[prefix.toLowerCase()]!
}
