import { ownValue } from '../../../engine/ownValue.ts'
import type { FileStore } from '../../stores/store.ts'
import { hiddenFolder, tableFolder } from './layout.ts'
import type { Log } from './log.ts'
import { writeView } from './view.ts'

/**
 * Makes a table's folder hold the data files of its newest version and no other, for whoever reads it by a glob: those
 * of older versions are hidden. It may be cut off anywhere, and done again; of several at a time the last finds that a
 * newer version has come, and makes the folder that one's.
 */
export async function publish(store: FileStore, log: Log, table: string): Promise<void> {
  for (let made: string | undefined; ; ) {
    const ref = ownValue((await log.newest())?.tables, table)
    if (!ref || ref.path === made) return
    made = ref.path
    const manifest = await log.manifestOf(ref)
    const [shown, hidden] = [tableFolder(table), hiddenFolder(table)]
    const files = new Set(manifest.files.map(({ path }) => path))
    const listed = (await store.list(shown)).map(({ path }) => path.slice(shown.length + 1))
    const there = new Set(listed.filter(path => path.endsWith('.parquet')))
    for (const path of files) if (!there.has(path)) await store.move(`${hidden}/${path}`, `${shown}/${path}`)
    await writeView(store, manifest)
    for (const path of there) if (!files.has(path)) await store.move(`${shown}/${path}`, `${hidden}/${path}`)
  }
}
