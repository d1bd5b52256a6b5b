import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

/** Whether a folder is a job's. */
export const isJobFolder = (folder: string): boolean => existsSync(join(folder, 'job.yaml'))

/** The name of a job whose files may not be valid: as its job.yaml says it, or its folder's. */
export function jobNameOf(folder: string): string {
  try {
    return (
      /^job:\s*["']?([\w-]+)/m.exec(readFileSync(join(folder, 'job.yaml'), 'utf8'))?.[1] ??
      basename(resolve(folder))
    )
  } catch {
    return basename(resolve(folder))
  }
}
