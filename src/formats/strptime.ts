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

/**
 * A pattern of texts whose `%n` has more than microseconds; undefined for a notation without. It holds where the sign before
 * those digits stands, or nine of them, and what follows them up to the next letter.
 */
export function nanosPattern(format: string): string | undefined {
  const pieces = piecesOf(format)
  const at = pieces.findIndex(({ letter }) => letter === 'n')
  if (at < 0) return undefined
  const before = pieces[at - 1]?.sign
  // Behind digits only those are its own that are left of them: nine, or fewer, which have no more than they say.
  const digits =
    before === undefined || /\d/.test(before)
      ? String.raw`\d{${glued(pieces.slice(0, at)) + 6}}(?:[1-9]\d\d|\d[1-9]\d|\d\d[1-9])`
      : String.raw`${escaped(before)}\d{6}\d{0,2}[1-9]0*`
  const behind = pieces.slice(at + 1)
  const next = behind.findIndex(({ letter }) => letter !== undefined)
  const signs = behind.slice(0, next < 0 ? undefined : next).map(({ sign }) => escaped(sign!))
  return `${digits}${signs.join('')}${next < 0 ? String.raw`\s*$` : (OFFSETS[behind[next]!.letter!] ?? '')}`
}

/** How many digits the letters at the end of these pieces stand for. */
function glued(pieces: ReturnType<typeof piecesOf>): number {
  const last = pieces.at(-1)
  const digits = last?.sign === undefined ? (DIGITS[last?.letter ?? ''] ?? 0) : /\d/.test(last.sign) ? 1 : 0
  return digits === 0 ? 0 : digits + glued(pieces.slice(0, -1))
}

const DIGITS: Record<string, number> = { Y: 4, y: 2, m: 2, d: 2, H: 2, I: 2, M: 2, S: 2, j: 3 }

/** How texts of an offset begin, by their letter. */
const OFFSETS: Record<string, string> = { z: String.raw`\s*[Zz+-]`, Z: String.raw`\s*[A-Za-z]` }

const escaped = (sign: string) =>
  /\s/.test(sign) ? String.raw`\s*` : sign.replace(/[!-/:-@[-`{-~]/, String.raw`\$&`)
