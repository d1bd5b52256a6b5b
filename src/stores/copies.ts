import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { workFolder } from './work.ts'

/** Files of a store as this machine has them, each made once, in a folder of this process, until they are cleared. */
export class Copies {
  private readonly where: string
  /** Made when the first file is. */
  private folder: Promise<string> | undefined
  private readonly made = new Map<string, Promise<string | undefined>>()

  constructor(where: string) {
    this.where = where
  }

  /** What `make` gives for a path: it is asked again where it failed or there was none. `name` gives it a free path. */
  get(
    path: string,
    make: (name: () => Promise<string>) => Promise<string | undefined>,
  ): Promise<string | undefined> {
    const known = this.made.get(path)
    if (known) return known
    const made = make(async () => {
      this.folder ??= workFolder(this.where, `${process.pid} ${randomUUID()}`)
      return join(await this.folder, `${randomUUID()}.parquet`)
    })
    this.made.set(path, made)
    const forget = () => this.made.delete(path)
    made.then(file => file ?? forget(), forget)
    return made
  }

  async clear(): Promise<void> {
    const folder = await this.folder?.catch(() => undefined)
    this.folder = undefined
    this.made.clear()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
}
