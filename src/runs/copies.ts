import { join, sep } from 'node:path'

/** Where the jobs of `nightfreight copy` are kept. Their URLs are in no file: only the command itself has them. */
export const copiesFolder = (home: string): string => join(home, 'copies')

/** Whether a job is that of a copy. */
export const isCopy = (home: string, folder: string): boolean => folder.startsWith(copiesFolder(home) + sep)

/** What is typed to go on with one. */
export const SAME_COPY = 'Type the same nightfreight copy line again: it does what is left.'
