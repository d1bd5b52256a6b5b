import { readFileSync, writeFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { readFolder } from '../config/folder.ts'
import { openJob } from '../config/include.ts'
import { loadJob } from '../config/load.ts'
import { isNamed, isWildcard, nameTables } from '../config/tableNames.ts'
import { verbatim } from '../config/verbatim.ts'
import { listTables } from '../config/wildcards.ts'
import { withEntries } from '../config/yaml.ts'
import type { JobConnection } from '../spec/job.ts'
import { isMapping } from '../util/mapping.ts'

/**
 * Adds tables of a source's catalogue to a job.yaml, with their keys, and to its loads where no glob of one names them;
 * comments stay. Gives the names added. Fails with TABLE_MISSING, or CONFIG_INVALID where it is not clear whence or whither.
 */
export async function addTables(
  folder: string,
  wanted: string[],
  env: Record<string, string | undefined>,
  { from, signal }: { from?: string; signal: AbortSignal },
): Promise<string[]> {
  const { connections, extracts, loads } = await loadJob(folder, env, { signal })
  const sources = [...new Set(extracts.map(each => each.from))]
  const connection = sourceOf(connections, from === undefined ? sources : [from])
  const listed = await listTables(connection, signal)
  const names = listed.map(({ name }) => name)
  for (const name of wanted)
    if (!listed.some(table => isNamed([name], table)))
      throw new EngineError(
        'TABLE_MISSING',
        `${connection.name} has no table ${name}${didYouMean(name, names)}`,
      )
  const isThere = (table: string) =>
    extracts.some(
      each => each.from === connection.name && (each.options as { table?: string }).table === table,
    )
  const chosen = listed.filter(table => isNamed(wanted, table) && !isThere(table.name))
  const file = join(folder, 'job.yaml')
  const { defaults, globs } = await saidOf(folder)
  const [load] = loads
  const added = nameTables(
    chosen,
    extracts.map(({ name }) => name),
  )
  const entries = { extract: {} as Record<string, unknown>, load: {} as Record<string, unknown> }
  for (const { extract, table } of added) {
    const key = table.key.length === 1 ? table.key[0] : table.key
    entries.extract[extract] = verbatim({
      ...(defaults.extract.from !== connection.name && { from: connection.name }),
      ...(table.name !== extract && { table: table.name }),
      ...(table.key.length > 0 && { key }),
    })
    if (globs.some(glob => matchesGlob(extract, glob))) continue
    if (!load)
      throw new EngineError(
        'CONFIG_INVALID',
        `${file} loads nothing yet: where ${extract} is to go is not known`,
        {
          hint: 'Write its first load: load: { NAME: { to: CONNECTION, from: NAME } }.',
        },
      )
    entries.load[extract] = verbatim({
      ...(defaults.load.to !== load.to && { to: load.to }),
      from: extract,
      // Of a table without a key no other is possible.
      ...((defaults.load.mode === undefined || table.key.length === 0) &&
        defaults.load.mode !== 'replace' && { mode: 'replace' }),
    })
  }
  if (added.length > 0) writeFileSync(file, withEntries(file, readFileSync(file, 'utf8'), entries))
  return added.map(({ extract }) => extract)
}

/** What a job, and what it includes, says of all its extracts and loads, and which extracts its loads of many are of. */
async function saidOf(folder: string) {
  const { value } = await openJob(folder, await readFolder(folder))
  const content = isMapping(value) ? value : {}
  const partOf = (whole: unknown, part: string) =>
    isMapping(whole) && isMapping(whole[part]) ? whole[part] : {}
  const { defaults } = content
  return {
    defaults: { extract: partOf(defaults, 'extract'), load: partOf(defaults, 'load') },
    globs: Object.values(partOf(content, 'load'))
      .map(each => (isMapping(each) ? String(each.from) : ''))
      .filter(isWildcard),
  }
}

function sourceOf(connections: Record<string, JobConnection>, names: string[]): JobConnection {
  const [name, ...others] = names
  const connection = name === undefined ? undefined : ownValue(connections, name)
  if (!connection || others.length > 0)
    throw new EngineError(
      'CONFIG_INVALID',
      `which connection is the table of: ${names.join(', ') || 'none is read yet'}?`,
      {
        hint: `Name it: --from ${Object.keys(connections)[0] ?? 'NAME'}`,
      },
    )
  return connection
}
