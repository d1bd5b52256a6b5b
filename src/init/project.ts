import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { EngineError } from '../../engine/errors.ts'
import { connectionNames } from '../config/shared.ts'
import { withEntries } from '../config/yaml.ts'
import { makeFolder } from '../util/folder.ts'
import { shellWord } from '../util/shell.ts'
import { type Draft, jobText, modelOf } from './job.ts'

/** The two ends of a job, as they are typed. */
export interface Ends {
  from: string
  to: string
}

/**
 * Writes a job's folder, and beside it what a project shares: connections, the URLs, what git is to leave alone, a
 * workflow. What is there already is added to, never written over; gives the files that are new or longer. Fails with
 * CONFIG_INVALID where there is a job, or another URL of that name.
 */
export function writeProject(folder: string, draft: Draft, ends: Ends): string[] {
  const written: string[] = []
  const jobs = dirname(resolve(folder))
  const isInside =
    !relative(process.cwd(), jobs).startsWith('..') && !isAbsolute(relative(process.cwd(), jobs))
  const root = isInside ? process.cwd() : jobs
  if (existsSync(join(folder, 'job.yaml')))
    throw new EngineError('CONFIG_INVALID', `${join(folder, 'job.yaml')} is there already`, {
      hint: `Give another folder, or add tables to it: nightfreight add table ${shellWord(folder)} NAME`,
    })
  const urls = { [variableOf(draft.from)]: ends.from, [variableOf(draft.to)]: ends.to }
  refuseOthers(join(jobs, '.env'), urls)
  const model = modelOf(draft.tables)
  const files = { [`${model.name}.sql`]: model.sql, ...model.files }
  for (const path of Object.keys(files))
    if (existsSync(join(folder, path)))
      throw new EngineError(
        'CONFIG_INVALID',
        `${join(folder, path)} is there already, and would be written over`,
        {
          hint: 'Give another folder, or move that file away.',
        },
      )
  const connections = join(jobs, 'connections.yaml')
  const shared = withConnections(
    connections,
    existsSync(connections) ? readFileSync(connections, 'utf8') : undefined,
    draft,
  )
  const put = (path: string, text: string, mode?: number) => {
    makeFolder(dirname(path))
    writeFileSync(path, text, { mode })
    // It may have been there, for all to read.
    if (mode !== undefined) chmodSync(path, mode)
    written.push(relative(process.cwd(), path) || path)
  }
  const append = (path: string, lines: string[], mode?: number) => {
    const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
    const there = before.split(/\r?\n/)
    const missing = lines.filter(line => !there.some(other => other === line || isSameVariable(other, line)))
    if (missing.length > 0) put(path, `${before.replace(/([^\n])$/, '$1\n')}${missing.join('\n')}\n`, mode)
  }

  put(join(folder, 'job.yaml'), jobText(draft))
  for (const [path, sql] of Object.entries(files)) put(join(folder, path), sql)
  if (shared !== undefined) put(connections, shared)
  append(join(jobs, '.env'), assignments(urls), 0o600)
  append(join(jobs, '.env.example'), assignments(placeholders(urls)))
  const ownFiles = Object.values(urls).some(url => /^duckdb:/i.test(url)) ? ['*.duckdb', '*.duckdb.wal'] : []
  append(join(root, '.gitignore'), ['.env', '.env.*', '!.env.example', '.nightfreight/', ...ownFiles])
  const workflow = join(root, '.github/workflows/nightfreight.yml')
  if (!existsSync(workflow))
    put(workflow, workflowText(relative(root, jobs), relative(root, resolve(folder))))
  return written
}

/** The variable that a connection's URL is in. */
export const variableOf = (connection: string) => `${connection.toUpperCase()}_URL`

const assignments = (urls: Record<string, string>) =>
  Object.entries(urls).map(([name, url]) => {
    const quote = ['"', "'", '`'].find(each => !url.includes(each)) ?? '"'
    return `${name}=${quote}${url}${quote}`
  })

const isSameVariable = (line: string, other: string) =>
  line.includes('=') && line.slice(0, line.indexOf('=')) === other.slice(0, other.indexOf('='))

function refuseOthers(path: string, urls: Record<string, string>): void {
  const there = existsSync(path) ? parseEnv(readFileSync(path, 'utf8')) : {}
  for (const [name, url] of Object.entries(urls))
    if (there[name] !== undefined && there[name] !== url)
      throw new EngineError('CONFIG_INVALID', `${path} has another ${name}`, {
        hint: 'Rename that variable there and in connections.yaml, or begin in another folder.',
      })
}

/** The URLs, for others to fill in: where to, without who. */
function placeholders(urls: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(urls).map(([name, url]) => {
      const [place, query = ''] = url.split(/\?(.*)/s)
      const who = /(?:^|&)(?:user|password)=/i.test(query) ? /\/\/[^/]*/ : /\/\/[^/@]*@[^/]*/
      // How it is encrypted says nothing of who; all else may.
      const kept = query.split('&').filter(each => /^(?:ssl|tls)\w*=/i.test(each) && !/password/i.test(each))
      return [
        name,
        place!.replace(who, '//USER:PASSWORD@HOST') + (kept.length > 0 ? `?${kept.join('&')}` : ''),
      ]
    }),
  )
}

/** connections.yaml with the draft's connections; undefined where it has them. */
function withConnections(file: string, before: string | undefined, { from, to }: Draft): string | undefined {
  const line = (name: string) => `\${${variableOf(name)}}`
  if (before === undefined)
    return `# What the jobs beside it may name. URLs come from the environment, or .env: no secret is written here.
connections:
  ${from}: "${line(from)}"
  ${to}: "${line(to)}"
`
  const there = connectionNames(before)
  const missing = [from, to].filter(name => !there.includes(name))
  if (missing.length === 0) return undefined
  return withEntries(file, before, {
    connections: Object.fromEntries(missing.map(name => [name, line(name)])),
  })
}

const workflowText = (jobs: string, folder: string) => `name: nightfreight
on: [push]
jobs:
  validate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-node@v5
        with: { node-version: 26 }
      # What npm pack makes in a checkout of Nightfreight, which is on no registry yet: its URL, or its path in this repository.
      - run: npm install --global "\${{ vars.NIGHTFREIGHT_PACKAGE }}"
      - run: cp ${jobs === '' ? '' : `${jobs}/`}.env.example ${jobs === '' ? '' : `${jobs}/`}.env
      - run: nightfreight validate ${shellWord(folder)}
      - run: nightfreight test ${shellWord(folder)}
`
