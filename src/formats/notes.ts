/** What is said of columns that a file has and nobody reads, and of those that are read and it has not. */
export function unread(what: string, names: string[], andMore = false): string[] {
  if (names.length === 0) return []
  const more = andMore || names.length > 10 ? ', …' : ''
  return [`has ${what} that are not read: ${names.slice(0, 10).map(shown).join(', ')}${more}`]
}
export const absent = (what: string, names: string[]) =>
  names.map(name => `has no ${what} ${shown(name)}: NULL in its rows`)
const shown = (name: string) => (/^[\p{L}\p{N}_.-]+$/u.test(name) ? name : JSON.stringify(name))
