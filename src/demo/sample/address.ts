import type { Country } from './places.ts'
import type { Dice } from './random.ts'

export interface Address {
  address_line1: string
  city: string
  region: string | null
  postal_code: string | null
}

// Without I, O, Q, V, X and Z: British postcodes never use them everywhere, and no other country minds.
const LETTERS = 'ABDEFGHJLNPRSTUW'

/** An address as people of the country write it. */
export function address(dice: Dice, country: Country): Address {
  const { city, region } = dice.pick(country.cities)
  const number = 1 + dice.below(dice.chance(0.1) ? 4000 : 180)
  const street = dice.pick(country.streets)
  return {
    address_line1: country.number === 'before' ? `${number} ${street}` : `${street} ${number}`,
    city,
    region,
    postal_code: dice.chance(0.01) ? null : postal(dice, country.postal),
  }
}

function postal(dice: Dice, pattern: string): string {
  let text = ''
  for (const char of pattern)
    text += char === '#' ? dice.below(10) : char === 'A' ? LETTERS[dice.below(LETTERS.length)] : char
  return text
}
