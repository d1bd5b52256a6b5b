import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest, StagedFile, Staging } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import { atomicWriteAll, isIntact } from './store.ts'

/** Staging in a folder of this machine and nowhere else. */
export class LocalStaging implements Staging {
  private readonly root: string

  constructor(root: string) {
    this.root = root
  }

  async keep(): Promise<void> {}

  async bring(files: StagedFile[]): Promise<boolean> {
    for (const file of files) if (!(await isIntact(this.root, file))) return false
    return true
  }

  async read(file: string): Promise<string | undefined> {
    try {
      return await readFile(join(this.root, file), 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new EngineError('STAGING_CORRUPT', `${file}: cannot be read`, { cause })
    }
  }

  async publish(manifests: Manifest[]): Promise<void> {
    atomicWriteAll(
      manifests.map(({ file, content }) => ({
        path: join(this.root, file),
        text: JSON.stringify(content, null, 2),
      })),
    )
  }

  async withdraw(file: string): Promise<void> {
    await rm(join(this.root, file), { force: true })
  }
}
