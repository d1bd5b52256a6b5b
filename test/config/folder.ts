import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'

/** Where they are all in. */
export const root = await mkdtemp(join(tmpdir(), 'job-'))
after(() => rm(root, { recursive: true }))
let made = 0

/** A job's folder of its own. */
export async function folder(yaml: string, files: Record<string, string> = {}): Promise<string> {
  const path = join(root, `${++made}`, 'members')
  for (const [file, text] of Object.entries({ 'job.yaml': yaml, ...files })) {
    await mkdir(dirname(join(path, file)), { recursive: true })
    await writeFile(join(path, file), text)
  }
  return path
}
