/** What stands in a notation of strptime: letters behind a percent sign, and signs that stand for themselves. */
function piecesOf(format: string): { letter?: string; sign?: string }[] {
  return [...format.matchAll(/%-?(.)|([^%])/gsu)].map(([, letter, sign]) =>
    letter === '%' ? { sign: letter } : { ...(letter && { letter }), ...(sign && { sign }) },
  )
}

/** Whether a notation has one of these letters behind a percent sign. */
export function hasLetter(format: string, letters: string): boolean {
  return piecesOf(format).some(({ letter }) => letter !== undefined && letters.includes(letter))
}

export const hasOffset = (format: string) => hasLetter(format, 'zZ')

/** Whether texts of a notation say their offset: by a letter for it, or by a word for UTC at their end. */
export const saysOffset = (format: string) => hasOffset(format) || /(Z|UTC|GMT|[+-]00(:?00)?)$/.test(format)

/** A pattern of texts whose `%n` has more than microseconds; undefined for a notation without. */
export function nanosPattern(format: string): string | undefined {
  let before = ''
  for (const { letter, sign } of piecesOf(format)) {
    if (letter === 'n') return String.raw`${before}\d{6}\d{0,2}[1-9]`
    before = sign === undefined || /\d/.test(sign) ? '' : sign.replace(/[!-/:-@[-`{-~]/, String.raw`\$&`)
  }
  return undefined
}
