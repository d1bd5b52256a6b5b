import { randomBytes } from 'node:crypto'

const STAMPED = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})-/

/** An id for a run. Sorts by time, to the millisecond: a target's last run is the one that sorts last. The random end keeps two machines apart. */
export function runId(now: Date, ending = randomBytes(3).toString('hex')): string {
  return `${now.toISOString().replace(/[-:.]/g, '').slice(0, 18)}-${ending}`
}

/** The id, or where it would sort before `last`, since the clock was put back, one that sorts after it. */
export function idAfter(last: string | undefined, id: string): string {
  const [, year, month, day, hour, minute, second, millisecond] = STAMPED.exec(last ?? '') ?? []
  if (year === undefined || !STAMPED.test(id) || last! < id) return id
  const before = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${millisecond}Z`)
  return runId(new Date(before + 1), id.slice(id.indexOf('-') + 1))
}
