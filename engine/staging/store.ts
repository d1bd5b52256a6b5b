import { randomBytes } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Part, StagedFile, Staging } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import { rowsOf } from '../parquet/read.ts'
import { checksumOf, fileChecksum } from './checksum.ts'

/**
 * Puts a file in place so that a reader sees all of it or none: written under a temporary name, synced, renamed,
 * and the folder synced. Works on folders too (a data set of several files): pass what fills the temporary path.
 */
export async function atomicWrite(
  path: string,
  fill: (temporary: string) => Promise<void> | void,
): Promise<void> {
  const temporary = temporaryOf(path)
  try {
    mkdirSync(dirname(path), { recursive: true })
    await fill(temporary)
    if (statSync(temporary).isDirectory()) rmSync(path, { recursive: true, force: true })
    else sync(temporary)
    renameSync(temporary, path)
    sync(dirname(path))
  } catch (error) {
    discard(temporary)
    throw full(error, path)
  }
}

/** {@link atomicWrite} of several small files; folders are synced once all of them are in place. */
export function atomicWriteAll(files: { path: string; text: string }[]): void {
  const temporaries = files.map(({ path }) => temporaryOf(path))
  let at = 0
  try {
    for (; at < files.length; at++) {
      const { path, text } = files[at]!
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(temporaries[at]!, text)
      sync(temporaries[at]!)
    }
    for (const [index, { path }] of files.entries()) renameSync(temporaries[index]!, path)
    for (const folder of new Set(files.map(({ path }) => dirname(path)))) sync(folder)
  } catch (error) {
    for (const temporary of temporaries) discard(temporary)
    throw full(error, files[Math.min(at, files.length - 1)]!.path)
  }
}

/** Gives a file a second name, which keeps it when the first is removed; a copy where the file system has no links. */
export function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error
    copyFileSync(from, to)
  }
}

/** {@link atomicWrite} for bytes at hand, synchronously: for worker threads, which have nothing else to do meanwhile. */
export function atomicWriteBytes(path: string, bytes: Uint8Array): void {
  const temporary = temporaryOf(path)
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(temporary, bytes)
    sync(temporary)
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    throw full(error, path)
  }
}

/** Removes what killed attempts were writing in a folder. One that still writes fails when it renames. */
export function clearTemporary(folder: string): void {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith(TEMPORARY)) discard(join(folder, name))
}

const TEMPORARY = '.tmp'

/**
 * A name for what becomes `path`, or is beside it for a while: {@link clearTemporary} removes it. Each attempt has one of its own:
 * a stale owner must not find its successor's file under its own name.
 */
export const temporaryOf = (path: string) => `${path}.${randomBytes(6).toString('hex')}${TEMPORARY}`

const discard = (temporary: string) => rmSync(temporary, { recursive: true, force: true })

function full(error: unknown, path: string): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') return error
  return new EngineError('RESOURCE_EXHAUSTED', `${path}: the disk is full`, {
    cause: error,
    hint: 'Make room (nightfreight gc removes old runs), then resume the run: what is committed is not done again.',
  })
}

export function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Absolute paths of parts below the staging root. */
export function pathsOf(root: string, parts: Part[]): string[] {
  return parts.map(part => join(root, part.file))
}

/** Rows of parts together. */
export const rowsIn = (parts: Pick<Part, 'rows'>[]) => parts.reduce((sum, { rows }) => sum + rows, 0)

/** Publishes a manifest, its parts first: the one thing that makes a data set exist. */
export const writeManifest = <T extends { parts: Part[] }>(
  staging: Staging,
  file: string,
  content: T,
): Promise<void> => writeManifests(staging, [{ file, content }])

/** The same of several: all of them are there on return. */
export async function writeManifests(
  staging: Staging,
  manifests: { file: string; content: { parts: Part[] } }[],
): Promise<void> {
  await staging.keep(manifests.flatMap(({ content }) => content.parts.map(part => part.file)))
  await staging.publish(
    manifests.map(({ file, content }) => ({
      file,
      content: { ...content, checksum: contentChecksum(content) },
    })),
  )
}

/**
 * Reads a manifest, and brings its parts; undefined where none was published, and where it or one of its parts is gone or
 * damaged: what it was of is made anew.
 */
export async function readManifest<T extends { parts: Part[] }>(
  staging: Pick<Staging, 'read' | 'bring'>,
  file: string,
): Promise<T | undefined> {
  const text = await staging.read(file)
  const manifest = text === undefined ? undefined : manifestIn<T>(text)
  return manifest && (await staging.bring(manifest.parts)) ? manifest : undefined
}

/** What a manifest's text says, where it is whole and as it was written; earlier versions wrote no checksum. */
export function manifestIn<T extends { parts: Part[] }>(text: string): T | undefined {
  try {
    // `writer` is the store's own.
    const { checksum, writer, ...content } = JSON.parse(text) as T & { checksum?: number; writer?: unknown }
    if (!Array.isArray(content.parts)) return undefined
    if (checksum !== undefined && checksum !== contentChecksum(content)) return undefined
    return content as unknown as T
  } catch {
    return undefined
  }
}

const contentChecksum = (content: object) => checksumOf(Buffer.from(JSON.stringify(content)))

/** Whether a file below the staging root is what it was, as far as that is known. */
export async function isIntact(root: string, { file, bytes, checksum }: StagedFile): Promise<boolean> {
  const path = join(root, file)
  const size = sizeOf(path)
  if (size < 0 || (bytes !== undefined && size !== bytes)) return false
  return checksum === undefined || (await fileChecksum(path)) === checksum
}

/** A Parquet file below the staging root, as a manifest lists it. */
export async function partOf(root: string, file: string): Promise<Part> {
  const path = join(root, file)
  return { file, rows: await rowsOf(path), bytes: statSync(path).size, checksum: await fileChecksum(path) }
}

/** Bytes of a file; -1 where there is none. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1
}
