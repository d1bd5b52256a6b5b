import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { Check, Model, SqlFile } from '../spec/job.ts'

/** What a job's folder holds beside the settings in job.yaml. */
export interface JobFolder {
  yaml: string
  models: Model[]
  checks: Check[]
  macros: SqlFile[]
  /** SHA-256 (hex) over all of it. */
  hash: string
  /** The same of each file. */
  hashes: Record<string, string>
}

/** Reads a job's folder: `*.sql`, `checks/`, and `../macros/`. Fails with CONFIG_INVALID without a job.yaml. */
export async function readFolder(folder: string): Promise<JobFolder> {
  const yaml = await readFile(join(folder, 'job.yaml'), 'utf8').catch((cause: unknown) => {
    throw new EngineError('CONFIG_INVALID', `${join(folder, 'job.yaml')} cannot be read`, {
      cause,
      hint: 'A job is a folder with a job.yaml in it.',
    })
  })
  const models = (await sqlFiles(folder, '')).map(file => ({ name: nameOf(file), ...file }))
  const checks: Check[] = (await sqlFiles(folder, 'checks')).map(file => ({ name: nameOf(file), ...file }))
  for (const model of await entries(join(folder, 'checks'), 'folder'))
    for (const file of await sqlFiles(folder, `checks/${model}`))
      checks.push({ name: nameOf(file), ...file, model })
  const macros = await sqlFiles(folder, '../macros')
  const hash = createHash('sha256')
  const hashes: Record<string, string> = {}
  for (const { file, sql } of [{ file: 'job.yaml', sql: yaml }, ...models, ...checks, ...macros]) {
    hash.update(`${file}\0${Buffer.byteLength(sql)}\0${sql}`)
    hashes[file] = createHash('sha256').update(sql).digest('hex')
  }
  return { yaml, models, checks, macros, hash: hash.digest('hex'), hashes }
}

const nameOf = ({ file }: SqlFile) => basename(file, '.sql')

async function sqlFiles(folder: string, below: string): Promise<SqlFile[]> {
  const names = (await entries(join(folder, below), 'file')).filter(name => name.endsWith('.sql'))
  return Promise.all(
    names.map(async name => ({
      file: below ? `${below}/${name}` : name,
      sql: await readFile(join(folder, below, name), 'utf8'),
    })),
  )
}

// Sorted by code unit, not by locale: the order, and with it the hash, is the same on every machine.
async function entries(path: string, kind: 'file' | 'folder'): Promise<string[]> {
  const found = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return found
    .filter(
      entry =>
        (kind === 'folder' ? entry.isDirectory() : !entry.isDirectory()) && !entry.name.startsWith('.'),
    )
    .map(entry => entry.name)
    .sort()
}
