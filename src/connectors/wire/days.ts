const DAYS_BEFORE_EPOCH = 719_468

/** Days from 1970-01-01 to a day of the calendar; a year before 1 is 0, -1, … */
export function daysOf(year: number, month: number, day: number): number {
  // From the first of March of year 0, so that the leap day comes last.
  if (month < 3) year--
  const era = Math.floor(year / 400)
  const yearOfEra = year - era * 400
  const dayOfYear = (((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) | 0) + day - 1
  const leaps = (yearOfEra >> 2) - ((yearOfEra / 100) | 0)
  return era * 146_097 + yearOfEra * 365 + leaps + dayOfYear - DAYS_BEFORE_EPOCH
}
