import { Console } from 'node:console'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { OwnModule } from '../contracts/enrichment.ts'

/** Why a file of a job's folder is not run. */
export class OwnModuleInvalid extends Error {
  /** The file. */
  readonly url: string
  /** A text in it that shows the place. */
  readonly text: string | undefined
  readonly hint: string

  constructor(url: string, message: string, hint: string, text?: string) {
    super(message)
    this.url = url
    this.hint = hint
    this.text = text
  }
}

interface Loaded {
  exports: Record<string, unknown>
  /** URL → SHA-256 (hex) of each file that was loaded. */
  loads: OwnModule['loads']
}

/** Of this thread, by folder: what its files have to be, or what they were found to be. */
const folders = new Map<string, { expected?: OwnModule['loads']; found: OwnModule['loads'] }>()

/**
 * Imports a module of a job's folder. What it imports by paths lies in `folder`, too; packages and modules of Node are found as
 * usual. Where `loads` is given, these files have that content, and there are no others. Throws {@link OwnModuleInvalid}, and
 * whatever the module throws.
 */
export async function importOwn(
  url: string,
  { folder, loads }: Pick<OwnModule, 'folder'> & { loads?: OwnModule['loads'] },
): Promise<Loaded> {
  const state = folders.get(folder) ?? { found: {} }
  if (!folders.has(folder)) guard(folder, state)
  folders.set(folder, state)
  if (loads) state.expected = { ...state.expected, ...loads }
  return { exports: (await import(url)) as Loaded['exports'], loads: state.found }
}

/** Watches what this thread loads for the files of a folder. */
function guard(folder: string, state: { expected?: OwnModule['loads']; found: OwnModule['loads'] }): void {
  const isOwn = (url: string | undefined) => url?.startsWith(folder) === true
  // What commands print is read by programs.
  globalThis.console = new Console(process.stderr)
  registerHooks({
    resolve(specifier, context, next) {
      const from = context.parentURL
      if (from === undefined || !isOwn(from)) return next(specifier, context)
      const isPath = /^(\.{0,2}\/|(?!node:)[a-z]{2,}:)/i.test(specifier)
      let found: ReturnType<typeof next> | undefined
      try {
        found = next(specifier, context)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'ERR_UNSUPPORTED_DIR_IMPORT') throw error
        const [message, hint] = isPath
          ? [
              `imports '${specifier}', which is not there`,
              'A path is written from this file, with its ending: ./zones.ts',
            ]
          : [`imports '${specifier}', a package that is not installed`, `npm install ${specifier}`]
        throw new OwnModuleInvalid(from, message, hint, specifier)
      }
      if (!isPath || isOwn(found.url)) return found
      throw new OwnModuleInvalid(
        from,
        `imports '${specifier}', which lies outside ${nameOf(folder)}`,
        `Put it into ${nameOf(folder)}; a package is imported by its name.`,
        specifier,
      )
    },
    load(url, context, next) {
      const own = isOwn(url)
      if (!own && (state.expected || Object.keys(state.found).length === 0)) return next(url, context)
      // Without a package.json, Node would guess, and warn.
      const format = own ? formatOf(url) : undefined
      const loaded = next(url, format ? { ...context, format } : context)
      if (!url.startsWith('file:')) return loaded
      const source =
        (loaded.source as Uint8Array | string | null | undefined) ?? readFileSync(fileURLToPath(url))
      const hash = createHash('sha256').update(source).digest('hex')
      if (own && state.expected) requireSame(url, hash, state.expected[url])
      state.found[url] = hash
      return loaded
    },
  })
}

function requireSame(url: string, hash: string, expected: string | undefined): void {
  if (hash === expected) return
  if (expected === undefined)
    throw new OwnModuleInvalid(
      url,
      'is imported while rows are enriched: what the night began with is not known of it',
      'Import it at the top of the file that needs it.',
    )
  throw new OwnModuleInvalid(url, 'changed since the job was read', 'Run it again, with --fresh.')
}

const formatOf = (url: string) =>
  /\.m?ts$/.test(url) ? 'module-typescript' : /\.m?js$/.test(url) ? 'module' : undefined

const nameOf = (folder: string) => `${fileURLToPath(folder).split(/[\\/]/).filter(Boolean).at(-1)}/`

/** Where in which file of a folder something stands; line and column from 1. */
export interface CodePlace {
  url: string
  line: number
  column: number
}

/** Where in a folder's files an error was made; undefined where it does not tell. */
export function whereOf(error: unknown, folder: string): CodePlace | undefined {
  if (error instanceof OwnModuleInvalid) {
    const text = readFileSync(fileURLToPath(error.url), 'utf8')
    const before = text.slice(0, Math.max(0, error.text === undefined ? 0 : text.indexOf(error.text)))
    return {
      url: error.url,
      line: before.split('\n').length,
      column: before.length - before.lastIndexOf('\n'),
    }
  }
  const { stack } = Object(error) as { stack?: unknown }
  for (const line of typeof stack === 'string' ? stack.split('\n') : []) {
    const [, url, row, column] = /(file:\/\/[^\s()]*?):(\d+)(?::(\d+))?\)?$/.exec(line) ?? []
    if (url?.startsWith(folder)) return { url, line: Number(row), column: Number(column ?? 1) }
  }
  return undefined
}

/** What an error says, in one line. */
export const saying = (error: unknown): string =>
  (error instanceof Error ? error.message || error.name : String(error)).split('\n')[0]!
