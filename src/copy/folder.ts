import { basename } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { CopySource } from './request.ts'
import { openFiles } from './source.ts'

const ENDING = /(\.[A-Za-z0-9]+)?\.(gz|zst|bz2|zip)$|\.[A-Za-z0-9]+$/
const SHOWN = 10

/** The files of a folder, on disk, S3 or SFTP, that holds one kind of them, as one table. */
export async function filesOfFolder({ url }: CopySource, signal: AbortSignal): Promise<CopySource> {
  const source = openFiles(url)
  try {
    return { url, files: await globOf(source.entries(signal)), table: basename(url.replace(/[?#].*$/, '')) }
  } finally {
    await source.close()
  }
}

/** The glob of the only kind of files that there is; hidden ones count for none. Fails with CONFIG_INVALID where there is any other. */
export async function globOf(files: AsyncIterable<{ name: string }>): Promise<string> {
  const kinds = new Set<string>()
  for await (const { name } of files) {
    const [first = '', ...below] = name.split('/')
    if (first === '' || first.startsWith('.')) continue
    kinds.add(below.length > 0 ? `${first}/` : (ENDING.exec(first)?.[0] ?? first))
  }
  const [kind] = kinds
  if (kinds.size === 1 && kind!.startsWith('.')) return `*${kind}`
  const shown = [...kinds].sort().slice(0, SHOWN).join(', ') || 'nothing'
  throw new EngineError('CONFIG_INVALID', `SRC is a folder that does not hold files of one kind: ${shown}`, {
    hint: "Name the files that make one table: nightfreight copy 'FOLDER/*.csv' …",
  })
}
