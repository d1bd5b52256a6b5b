/** A time zone of the IANA database: local wall time as if it were UTC, and back. All times in milliseconds. */
export class Zone {
  readonly name: string
  private readonly format: Intl.DateTimeFormat

  constructor(name: string) {
    this.name = name
    this.format = formatOf(name)
  }

  /** What local time is ahead of UTC at an instant. */
  offset(instant: number): number {
    // `1/1/1970, GMT+01:00`, and a bare `GMT` where there is no offset.
    const match = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(this.format.format(instant))
    if (!match) return 0
    const [, sign, hours, minutes, seconds = '0'] = match
    const size = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
    return sign === '-' ? -size : size
  }

  local(instant: number): number {
    return instant + this.offset(instant)
  }

  /**
   * The instants at which clocks show a wall time: one; two where they were put back; none where they were put
   * forward past it, and then `shifted` is that time with the offset that held before (02:30 becomes 03:30).
   */
  instants(local: number): { shown: number[]; shifted: number } {
    const before = this.offset(local - REACH)
    const offsets = new Set([before, this.offset(local + REACH)])
    const shown = [...offsets].map(offset => local - offset).filter(at => this.local(at) === local)
    return { shown: shown.sort((a, b) => a - b), shifted: local - before }
  }
}

/** One a zone: it costs more than what it is asked. */
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(name: string): Intl.DateTimeFormat {
  const known = formats.get(name)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  formats.set(name, format)
  return format
}

/** Further from a wall time than any offset, so that both sides of a change are seen. */
const REACH = 26 * 3_600_000

/** A time as people write it, in the zone where it names no offset; undefined where it is none. */
export function timeIn(zone: Zone, text: string): Date | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(
    text.trim(),
  )
  if (!match) return undefined
  const [, day, clock = '00:00', offset] = match
  const wall = Date.parse(`${day}T${clock}Z`)
  // There are days that a calendar has not, such as 30 February: they are read as others.
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(day!)) return undefined
  if (offset) return new Date(`${day}T${clock}${offset}`)
  const { shown, shifted } = zone.instants(wall)
  return new Date(shown[0] ?? shifted)
}
