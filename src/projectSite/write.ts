import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { makeFolder } from '../util/folder.ts'
import type { SiteData } from './data.ts'
import { ProjectPages } from './pages.ts'

/** Says that a folder holds such pages, and nothing else that anybody would miss. */
const MARK = '.nightfreight-docs'

/** Writes a project's pages into a folder, in place of those that were there; gives how many. Fails with CONFIG_INVALID where it holds others' files. */
export function writeSite(folder: string, site: SiteData): number {
  makeFolder(folder)
  const there = readdirSync(folder)
  if (there.length > 0 && !there.includes(MARK))
    throw new EngineError('CONFIG_INVALID', `${folder} holds files that are no such pages`, {
      hint: 'Name a folder that is empty or not there: --out docs-site',
    })
  rmSync(join(folder, 'tables'), { recursive: true, force: true })
  writeFileSync(join(folder, MARK), '')
  let pages = 0
  for (const [path, text] of new ProjectPages(site).all()) {
    makeFolder(dirname(join(folder, path)))
    writeFileSync(join(folder, path), text)
    pages++
  }
  return pages
}
