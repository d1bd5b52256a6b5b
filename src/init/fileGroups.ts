import { matchesGlob } from 'node:path'
import { identifierOf } from '../config/tableNames.ts'
import { literalGlob } from '../drops/glob.ts'
import { isFormatNamed } from '../formats/byName.ts'

/** Files whose names differ in numbers and ids alone: those of one table. */
export interface FileGroup {
  /** What their table is called. */
  table: string
  /** Globs that match them, and no other file that is there. */
  files: string[]
  names: string[]
}

/** Ids as writers of many files give them, then numbers that belong together, such as a day and a time. */
const COUNTED = [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, /\d+([-_.:T]?\d+)*Z?/g]
/** A number that is a day, and so the name of one file of many, though it is the only one that is there. */
const DAY = /\d{4}[-_.]?\d{2}[-_.]?\d{2}/
const ENDING = /(\.[A-Za-z]\w*)?\.[A-Za-z]\w*$/
/** Names that say nothing of what is in a file. */
const PLAIN = /^((part|data|file|chunk|export|out|output)(_c)?)?$/i
/** What writers of many files leave beside them: `_SUCCESS`, `_delta_log/`. */
const BESIDE = /(^|\/)_/

/**
 * The tables that files make, by their names alone; `skipped`: files that are none by their ending, or a writer's own. Pure.
 * A file whose name begins with a dot, or that is in such a folder, counts for none.
 */
export function groupFiles(
  names: readonly string[],
  place: string,
): { groups: FileGroup[]; skipped: string[] } {
  const seen = names.filter(name => !name.split('/').some(step => step.startsWith('.')))
  const isData = (name: string) => isFormatNamed(name) && !BESIDE.test(name)
  const data = seen.filter(isData)
  const byPattern = Map.groupBy(data, patternOf)
  const taken = new Set<string>()
  const groups = [...byPattern].map(([pattern, members]) => {
    const files = globsOf(pattern, members, data)
    const isAlone = files[0] === literalGlob(members[0]!) && members.length === 1
    const wanted = tableOf(isAlone ? members[0]! : pattern) || identifierOf(place) || 'files'
    let table = wanted
    for (let n = 2; taken.has(table.toLowerCase()); n++) table = `${wanted}_${n}`
    taken.add(table.toLowerCase())
    return { table, files, names: members.toSorted() }
  })
  return {
    groups: groups.toSorted((a, b) => (a.table < b.table ? -1 : 1)),
    skipped: seen.filter(name => !isData(name)),
  }
}

/** A name with an asterisk for what counts; its ending stays. */
function patternOf(name: string): string {
  const ending = ENDING.exec(name)?.[0] ?? ''
  const stem = name.slice(0, name.length - ending.length)
  return `${COUNTED.reduce((text, counted) => text.replace(counted, '*'), stem)}${ending}`
}

/** The last step of a path that says what it holds, without what counts. */
function tableOf(pattern: string): string {
  const words = pattern
    .replace(ENDING, '')
    .split('/')
    .filter(step => !step.includes('='))
    .map(step => identifierOf(step.replaceAll('*', ' ').trim()).replace(/^_+|_+$/g, ''))
  return words.findLast(word => !PLAIN.test(word)) ?? ''
}

function globsOf(pattern: string, members: string[], all: readonly string[]): string[] {
  const [only] = members
  const itself = members.map(literalGlob)
  if (members.length === 1 && !DAY.test(only!)) return itself
  const literal = (glob: string) => pattern.split('*').map(literalGlob).join(glob)
  const isOwn = (glob: string) => all.every(name => members.includes(name) === matchesGlob(name, glob))
  const exact = [literal('*'), literal('[0-9]*')].find(isOwn)
  return exact === undefined ? itself : [exact]
}
