/** Bytes or characters that long values of MySQL hold. */
const HOLDS: Record<string, number> = { tiny: 0xff, '': 0xffff, medium: 0xffffff, long: 0xffffffff }

/** Types that give back what was written, as long as it is within their room; others have a notation of their own. */
const PLAIN = /^(?:(?:var)?char|character varying|(?:tiny|medium|long|)(?:text|blob)|varbinary|bytea)$/i
/** Types that pad what is shorter, or strip what pads it: values of another length or type are others in them. */
const PADDED = /^(?:binary|character)$/i

/**
 * Whether a column that is of the same kind as before holds fewer values, by its type as the source writes it: the source may have cut,
 * rounded, padded or emptied those that it had, in rows that it does not tell as changed.
 */
export function isNarrowed(was: string, now: string): boolean {
  const before = labelsOf(was)
  const labels = labelsOf(now)
  // Labels differ by their letters' case, too; types do not.
  if (was === now || (!labels && was.toLowerCase() === now.toLowerCase())) return false
  if (labels) return !before?.every(label => labels.includes(label))
  const [from, to] = [baseOf(was), baseOf(now)]
  if (PADDED.test(to) || /^character$/i.test(from)) return true
  // Blanks at the end of a value go.
  if (/^char$/i.test(to) && from.toLowerCase() !== to.toLowerCase()) return true
  if (before) return roomIn(now) < longest(before, /^set/i.test(was))
  if (from.toLowerCase() !== to.toLowerCase() && !PLAIN.test(to)) return true
  if (/^text$/i.test(now) && roomIn(was) === Number.POSITIVE_INFINITY) return false
  const [whole, places] = [placesOf(was), placesOf(now)]
  if (whole && places) return places.scale < whole.scale || places.whole < whole.whole
  if (places) return /^(float|double|decimal|numeric)/i.test(was)
  // Its digits, a sign, a point, and a zero before it.
  return roomIn(now) < (whole ? whole.whole + whole.scale + 3 : roomIn(was))
}

/** `timestamp(0) without time zone`: the type without its length. */
const baseOf = (native: string) => native.replace(/\(.*\)/s, '').trim()

/** How long the text of some labels may be: of one, or of all of a set. */
function longest(labels: string[], all: boolean): number {
  const lengths = labels.map(label => label.slice(1, -1).replaceAll("''", "'").length)
  return all ? lengths.reduce((sum, length) => sum + length + 1, -1) : Math.max(...lengths)
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
