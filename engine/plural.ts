const pluralOf = (noun: string) =>
  /[^aeiou]y$/.test(noun) ? noun.replace(/y$/, 'ies') : /(s|x|ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`

/** A number with what it counts: `1 row`, `2 rows`, `0 queries`. `write`: how the number is written. */
export const counted = (count: number, noun: string, write: (count: number) => string = String): string =>
  `${write(count)} ${count === 1 ? noun : pluralOf(noun)}`
