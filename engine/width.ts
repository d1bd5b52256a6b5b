/** Signs that take no column of a terminal: marks upon another, joiners, a byte order mark. */
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u
/** Signs that take two: of East Asian scripts, of full width, pictures. */
const TWO =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u
/** Katakana and Hangul of half the width. */
const HALF = /[\uff61-\uffdc]/u

const ASCII = /^[\x20-\x7e]*$/

const columns = (sign: string): number => (NONE.test(sign) ? 0 : TWO.test(sign) && !HALF.test(sign) ? 2 : 1)

/** The columns of a terminal that a text of one line takes. */
export const widthOf = (text: string): number =>
  ASCII.test(text) ? text.length : [...text].reduce((sum, sign) => sum + columns(sign), 0)

/** A text within so many columns, with … in place of what is cut off. */
export const cutTo = (text: string, width: number): string =>
  widthOf(text) <= width ? text : `${fitting([...text], width - 1).join('')}…`

/** The same of a text's end. */
export const cutFrom = (text: string, width: number): string =>
  widthOf(text) <= width
    ? text
    : `…${fitting([...text].reverse(), width - 1)
        .reverse()
        .join('')}`

function fitting(signs: string[], width: number): string[] {
  let sum = 0
  const end = signs.findIndex(sign => {
    sum += columns(sign)
    return sum > width
  })
  return end < 0 ? signs : signs.slice(0, end)
}

/** A text with spaces up to a width, behind it or `before` it. */
export function padded(text: string, width: number, before = false): string {
  const gap = ' '.repeat(Math.max(0, width - widthOf(text)))
  return before ? gap + text : text + gap
}
