/**
 * Finds values in the text of JSON that is known to be valid: what JSON.parse gives has lost how it was written.
 * Positions are of the value's first character.
 */

/** Where the value at a path begins; undefined where there is none. */
export function startAt(text: string, from: number, path: readonly string[]): number | undefined {
  let at: number | undefined = blanks(text, from)
  for (const name of path) {
    if (at === undefined) return undefined
    at =
      text[at] === '{'
        ? member(text, at, name)
        : text[at] === '['
          ? elementsOf(text, at)[Number(name)]
          : undefined
  }
  return at
}

/** Where the elements of the list at `at` begin. */
export function elementsOf(text: string, at: number): number[] {
  const starts: number[] = []
  at = blanks(text, at + 1)
  while (text[at] !== ']') {
    starts.push(at)
    at = blanks(text, endOf(text, at))
    if (text[at] === ',') at = blanks(text, at + 1)
  }
  return starts
}

/** Where the value that begins at `at` ends. */
export function endOf(text: string, at: number): number {
  const first = text[at]
  if (first === '"') return stringEnd(text, at)
  if (first !== '{' && first !== '[') {
    while (at < text.length && !',]} \n\r\t'.includes(text[at]!)) at++
    return at
  }
  let depth = 0
  for (;;) {
    const char = text[at]
    if (char === '"') {
      at = stringEnd(text, at)
      continue
    }
    if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1
    at++
  }
}

// Of a name given twice, the last is the one that counts, as in JSON.parse.
function member(text: string, at: number, name: string): number | undefined {
  let found: number | undefined
  at = blanks(text, at + 1)
  while (text[at] !== '}') {
    const end = stringEnd(text, at)
    const written = text.slice(at + 1, end - 1)
    const key = written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written
    at = blanks(text, blanks(text, end) + 1)
    if (key === name) found = at
    at = blanks(text, endOf(text, at))
    if (text[at] === ',') at = blanks(text, at + 1)
  }
  return found
}

function stringEnd(text: string, at: number): number {
  at++
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function blanks(text: string, at: number): number {
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++
  return at
}
