import { constants } from 'node:fs'
import { access, glob, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../../../engine/errors.ts'
import type { ExtractSpec, Range, Read, Snapshot, Source, TableSchema } from '../../../engine/ports.ts'
import { declaredTable } from '../declared.ts'

/** An extract's keys as `index.ts` parsed them. */
export interface LocalExtract {
  files: string
  format: 'csv'
  delimiter: string
  header: boolean
  schema: Record<string, string>
}

/** One file. */
export interface FileRange {
  /** Below the folder, for messages. */
  name: string
  path: string
}

/** The folder that a URL names: `file:///abs/folder`, or a path, which may be relative to the job's folder. */
export function folderOf(url: string, baseDir: string): string {
  if (/^file:\/\//i.test(url)) return fileURLToPath(url)
  return resolve(baseDir, url.replace(/^file:/i, ''))
}

/** A folder of files as a source. */
export class LocalSource implements Source {
  private readonly name: string
  private readonly folder: string

  constructor(name: string, url: string, baseDir: string) {
    this.name = name
    this.folder = folderOf(url, baseDir)
  }

  async probe(): Promise<void> {
    try {
      if (!(await stat(this.folder)).isDirectory())
        throw new EngineError('CONFIG_INVALID', `${this.name}: ${this.folder} is not a folder`)
      await access(this.folder, constants.R_OK | constants.X_OK)
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EACCES' || code === 'EPERM')
        throw new EngineError('PERMISSION_DENIED', `${this.name}: ${this.folder} may not be read`, { cause })
      throw new EngineError('CONNECTION_FAILED', `${this.name}: there is no folder ${this.folder}`, {
        cause,
        hint: 'Check the path, and that its volume is mounted.',
      })
    }
  }

  async describe(extract: ExtractSpec): Promise<TableSchema> {
    return declaredTable(`${extract.from}.${extract.name}`, (extract.options as LocalExtract).schema)
  }

  async open(lanes: number): Promise<Snapshot> {
    await this.probe()
    return {
      lanes,
      ticket: { module: new URL('./lane.ts', import.meta.url).href, payload: { name: this.name } },
      rejoinable: false,
      joined: async () => {},
      ranges: read => this.files(read),
      split: async () => undefined,
      check: async () => {},
      close: async () => {},
    }
  }

  async close(): Promise<void> {}

  private async files(read: Read): Promise<Range[]> {
    const { files } = read.options as LocalExtract
    const root = await realpath(this.folder)
    const found: FileRange[] = []
    for await (const name of glob(files, { cwd: root })) {
      const path = await realpath(join(root, name))
      const below = relative(root, path)
      if (below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below))
        throw new EngineError('PERMISSION_DENIED', `${this.name}: ${name} leads out of the folder`, {
          hint: 'Put the file itself into the folder, or narrow files: so that the link does not match.',
        })
      if ((await stat(path)).isFile()) found.push({ name, path })
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1))
    return found.map(payload => ({ label: payload.name, payload }))
  }
}
