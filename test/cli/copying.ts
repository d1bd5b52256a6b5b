import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'

/** For one test file: a folder, `nightfreight copy` with a home in it, and what a DuckDB file then holds. */
export function copying() {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-copy-'))
  after(() => rmSync(folder, { recursive: true }))
  const home = join(folder, 'home')
  return {
    folder,
    home,
    copy: (...args: string[]) => commandLine(home, ['copy', ...args]),
    async rows(path: string, sql: string) {
      const duck = await Duck.open({ path })
      try {
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    },
  }
}
