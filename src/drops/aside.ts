import { literalGlob, matches } from './glob.ts'

/** A folder to which an extract of the job moves files of a drop. */
export interface Aside {
  folder: string
  extract: string
  /** Whether each goes into a folder of its day. */
  byDay: boolean
}

/** What an extract says of the files that it reads. */
interface Asked {
  files: string[]
  take: 'new' | 'all'
  aside?: Aside[]
}

/** A file that another extract has moved away, the name that it had, and a glob that names the folder where it lies now. */
export interface Moved {
  aside: Aside
  former: string
  glob: string
}

/**
 * What is told of a file that is not new although its name is: it lies where another extract moves files, these options read it
 * by its former name, and none of their globs names the folder. What reads every file on every run reads it there, too.
 */
export function movedBy(name: string, { files, take, aside = [] }: Asked): Moved | undefined {
  if (take === 'all') return undefined
  for (const each of aside) {
    const { folder, byDay } = each
    if (!name.startsWith(`${folder}/`)) continue
    const below = name.slice(folder.length + 1)
    const former = byDay ? below.slice(below.indexOf('/') + 1) : below
    const glob = files.find(file => matches(former, [file]))
    if (glob === undefined || files.some(file => matches(name, [file]) && !isBlind(file, folder, below)))
      continue
    return { aside: each, former, glob: `${literalGlob(folder)}/${byDay ? '*/' : ''}${glob}` }
  }
  return undefined
}

/** Whether a glob would match in a folder of any name: of `**` and `*`, but not of `done`, `{done,in}` or `do*`. */
function isBlind(glob: string, folder: string, below: string): boolean {
  const other = folder.replace(/[^/]+$/, step => '\uFFFF'.repeat(step.length))
  return matches(`${other}/${below}`, [glob])
}
