import type { Country } from './places.ts'
import type { Dice } from './random.ts'

/** Never a telephone number, whatever the country. */
const NONSENSE = [
  'call after 6pm',
  '12345',
  '0000000000',
  'ask for Jane',
  '+++',
  '99999999999999999999',
  '(none)',
  'xxx-xxxx',
]

/** Something typed into the telephone field that no cleaning can save. */
export const brokenPhone = (dice: Dice): string => dice.pick(NONSENSE)

/**
 * A valid number of the country in one of the notations that pile up in old systems. `foreign` leaves only those
 * that carry the calling code, for rows whose country is unknown.
 */
export function phone(dice: Dice, country: Country, foreign = false): string {
  const { code, trunk, numbers } = country.telephone
  const groups = significant(dice, dice.pick(numbers)).split(' ')
  const bare = groups.join('')
  const written = notation(dice.below(foreign ? 55 : 100))
  // Rare decorations, on top of any notation.
  const luck = dice.below(200)
  if (luck < 3) return `${written} ext. ${10 + dice.below(90)}`
  if (luck < 5) return `${written} x${100 + dice.below(900)}`
  if (luck === 5) return `Tel: ${written}`
  if (luck === 6) return `${written} (mobile)`
  if (luck === 7) return ` ${written} `
  return written

  function notation(percent: number): string {
    if (percent < 25) return `+${code} ${groups.join(' ')}`
    if (percent < 42) return `+${code}${bare}`
    if (percent < 50) return `00${code} ${groups.join(' ')}`
    if (percent < 53) return `00${code}${bare}`
    if (percent < 55) return `+${code}${trunk && ` (${trunk})`} ${groups.join(' ')}`
    if (percent < 75) return `${trunk}${groups.join(' ')}`
    if (percent < 85) return `${trunk}${bare}`
    if (percent < 91) return `${trunk}${groups.join('.')}`
    if (percent < 96) return `${trunk}${groups.join('-')}`
    return `(${trunk}${groups[0]}) ${groups.slice(1).join('-')}`
  }
}

function significant(dice: Dice, pattern: string): string {
  let text = ''
  for (const char of pattern) text += char === '#' ? dice.below(10) : char === '~' ? 2 + dice.below(8) : char
  return text
}
