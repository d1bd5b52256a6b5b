import { statSync } from 'node:fs'

/** A word as it is typed in a shell. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/**
 * What is typed to move a damaged store in `home` out of the way of a new one, with the files beside it; typed once more, by
 * whoever was told of it by another job, it leaves the new one alone.
 */
export function setAside(home: string): string {
  const file = `${home}/metadata.db`
  const damaged = shellWord(`${home}/damaged-${statSync(file, { throwIfNoEntry: false })?.ino ?? 0}`)
  return `[ -d ${damaged} ] || { mkdir ${damaged} && mv ${shellWord(file)}* ${damaged}; }`
}
