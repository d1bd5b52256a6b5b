import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ListedTable } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { copiesFolder } from '../runs/copies.ts'
import { makeFolder } from '../util/folder.ts'
import { lookAtFiles } from './files.ts'
import { filesOfFolder } from './folder.ts'
import { type CopyJob, fileJob, queryJob, refuseAlone, refuseOfFiles, tablesJob, VARIABLES } from './job.ts'
import type { CopyRequest } from './request.ts'
import { openFiles, openSource, readUrl } from './source.ts'

/** Looks at the source, and gives the job that copies what was asked for. */
export async function copyJob(asked: CopyRequest, signal: AbortSignal): Promise<CopyJob> {
  refuseAlone(asked)
  readUrl('DST', asked.to)
  const from = asked.from.folder ? await filesOfFolder(asked.from, signal) : asked.from
  const { url, files: typed } = from
  const { set = {} } = asked
  if (typed !== undefined) {
    refuseOfFiles(asked)
    const source = openFiles(url)
    try {
      const files = asked.from.folder ? typed : await source.globOf(typed)
      const { keys, found } = await lookAtFiles(source, [files], set, signal)
      const table = from.table ?? typed.split('/').at(-1)!.split('.')[0]!
      return { ...fileJob({ ...asked, from: { ...from, files, table } }, keys), ...(found && { found }) }
    } finally {
      await source.close()
    }
  }
  if (Object.keys(set).length > 0)
    throw new EngineError('CONFIG_INVALID', '--set is for files: it says how they are written')
  if (asked.query !== undefined) return queryJob(asked)
  return tablesJob(asked, await tablesOf(url, signal))
}

async function tablesOf(url: string, signal: AbortSignal): Promise<ListedTable[]> {
  const { source } = openSource(url)
  try {
    return await source.tables!(signal)
  } finally {
    await source.close()
  }
}

/** The environment that the job's URLs come from. */
export const environmentOf = ({ from, to }: CopyRequest) => ({
  [VARIABLES.from]: from.url,
  [VARIABLES.to]: to,
})

/** Writes the job below the home folder, where its next run finds it. */
export function keepJob(home: string, job: CopyJob): string {
  const folder = join(copiesFolder(home), job.name)
  makeFolder(folder, 0o700)
  writeFileSync(join(folder, 'job.yaml'), job.yaml)
  return folder
}

/** Writes the job as one of the user's own. Fails where the folder has a job already. */
export function saveJob(folder: string, job: CopyJob): void {
  makeFolder(folder)
  try {
    writeFileSync(join(folder, 'job.yaml'), job.yaml.replace(/^job: .*$/m, `job: ${nameOf(folder)}`), {
      flag: 'wx',
    })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new EngineError('CONFIG_INVALID', `${folder} has a job.yaml already`, {
      cause,
      hint: 'Give another folder: it is not written over.',
    })
  }
  const example = join(folder, '.env.example')
  if (!existsSync(example))
    writeFileSync(
      example,
      Object.values(VARIABLES)
        .map(name => `${name}=\n`)
        .join(''),
    )
}

const nameOf = (folder: string) =>
  folder
    .split(/[\\/]/)
    .filter(Boolean)
    .at(-1)!
    .replace(/[^A-Za-z0-9_-]/g, '_')
