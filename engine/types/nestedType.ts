// How DuckDB writes the types of lists and structs.

/** What stands between commas that no bracket or quote holds together. */
export function split(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (const { 0: token, index } of text.matchAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|./gs)) {
    if (token === '(') depth++
    else if (token === ')') depth--
    else if (token === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim())
      start = index + 1
    }
  }
  return [...parts, text.slice(start).trim()]
}

/** The type of a list's items; undefined for what is no list. */
export const itemOf = (type: string): string | undefined => /^(.*)\[\d*\]$/s.exec(type)?.[1]

/** The fields of a struct, their names as they are quoted; undefined for what is none, or has one without a type. */
export function fieldsOf(type: string): { quoted: string; type: string }[] | undefined {
  const [, inside] = /^STRUCT\((.*)\)$/s.exec(type) ?? []
  if (inside === undefined) return undefined
  const fields = split(inside).map(field => /^("(?:[^"]|"")*"|[^\s"(]+) (.+)$/s.exec(field))
  return fields.every(field => field !== null)
    ? fields.map(field => ({ quoted: field[1]!, type: field[2]! }))
    : undefined
}

/** Whether two types are the same, however their fields' names are quoted. */
export const sameType = (a: string | undefined, b: string | undefined) =>
  a !== undefined && b !== undefined && unquoted(a) === unquoted(b)

const unquoted = (type: string) =>
  type.replaceAll(/"([A-Za-z_]\w*)"|"(?:[^"]|"")*"|'(?:[^']|'')*'/g, (all, plain) => plain ?? all)

/** Whether an enum has all values of another, and more. */
export function hasMoreLabels(before: string, now: string | undefined): boolean {
  const [was, is] = [before, now].map(type => /^ENUM\((.*)\)$/s.exec(type ?? '')?.[1])
  if (was === undefined || is === undefined) return false
  const labels = split(is)
  return split(was).length < labels.length && split(was).every(label => labels.includes(label))
}
