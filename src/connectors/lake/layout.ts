import { createHash, randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import { EngineError } from '../../../engine/errors.ts'

/** Folder of what the lake keeps about itself: commits, load ids, work in progress. */
export const STATE = '_nightfreight'

/** A hint where the newest commit is: never behind by more than the commits whose writers died before they moved it. */
export const CURRENT = `${STATE}/current.json`

/** The file whose making is the commit. */
export const commitPath = (version: number) => `${STATE}/commits/${numbered(version)}.json`

/** Tells from which commit on to look for a load id. */
export const loadPath = (loadId: string) =>
  `${STATE}/loads/${createHash('sha256').update(loadId).digest('hex').slice(0, 32)}.json`

/** A table's folder; a name never leads out of the root, nor to {@link STATE}. */
export const tableFolder = (table: string) => escaped(table)

/** A folder's name that readers do not pass over: many do where it begins with a dot or an underscore. */
const escaped = (name: string) =>
  hiveEscape(name).replace(/^[._]/, first => `%${first.charCodeAt(0).toString(16).toUpperCase()}`)

/** Where a data file is that is of no newest version: not committed yet, or of an older one. */
export const hiddenFolder = (table: string) => `${STATE}/files/${tableFolder(table)}`

/** A name for a manifest. Writers who race for a version each have their own. */
export const manifestPath = (table: string, version: number) =>
  `${tableFolder(table)}/_manifest/${numbered(version)}-${randomUUID().slice(0, 8)}.json`

/** The version that a manifest's name says. */
export const manifestVersion = (path: string) => Number.parseInt(basename(path), 10)

/**
 * A name for a data file, below the table's folder, that no file ever had. Fails where a value makes no folder. No
 * folder is of Hive's form `name=value`: readers would take the column from there, with a type that they guess, beside
 * the one in the file.
 */
export function dataPath(where: string, partitionBy: string[], values: (string | null)[]): string {
  const folders = partitionBy.map((name, index) => {
    const value = values[index]
    const folder = `${escaped(name)}-${hiveEscape(value ?? NULL_PARTITION)}`
    if (Buffer.byteLength(folder) > LONGEST_NAME)
      throw new EngineError(
        'DATA_INVALID',
        `${where}.${name}: '${value!.slice(0, 40)}…' is too long for the name of a partition`,
        { hint: 'Partition by a shorter column: a date, a region.' },
      )
    return `${folder}/`
  })
  return `${folders.join('')}${randomUUID()}.parquet`
}

/** In the name of the folder of rows whose partition column is NULL. */
const NULL_PARTITION = 'NULL'

/** Bytes that file systems allow in one name. */
const LONGEST_NAME = 255

// As FileUtils.escapePathName of Hive does (common/src/java/org/apache/hadoop/hive/common/FileUtils.java).
function hiveEscape(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: Hive escapes them
    /[\x00-\x1f"#%'*/:=?\\\x7f{}[\]^]/g,
    char => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

const numbered = (version: number) => String(version).padStart(6, '0')
