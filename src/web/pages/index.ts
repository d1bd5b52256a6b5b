import type { Identity } from '../access.ts'
import type { Page, PageMaker, WebContext } from '../context.ts'
import { audit } from './audit.ts'
import { errorPage, errors } from './errors.ts'
import { job, jobs } from './jobs.ts'
import { lineage, lineageColumn, lineageTable } from './lineage.ts'
import { run } from './run.ts'
import { runs } from './runs.ts'
import { sla } from './sla.ts'
import { tablePage, tables } from './tables.ts'
import { tonight } from './tonight.ts'

/** Paths of pages; what begins with a colon is a name. */
const PAGES: [string, PageMaker][] = [
  ['/', tonight],
  ['/runs', runs],
  ['/runs/:run', run],
  ['/jobs', jobs],
  ['/jobs/:job', job],
  ['/tables', tables],
  ['/tables/:job/:table', tablePage],
  ['/lineage', lineage],
  ['/lineage/:job/:table', lineageTable],
  ['/lineage/:job/:table/:column', lineageColumn],
  ['/errors', errors],
  ['/errors/:id', errorPage],
  ['/sla', sla],
  ['/audit', audit],
]

/** The page of a path; undefined where there is none. */
export async function findPage(
  web: WebContext,
  path: string,
  query: URLSearchParams,
  who: Identity,
): Promise<Page | undefined> {
  const given = path.split('/')
  for (const [pattern, make] of PAGES) {
    const params = matched(pattern.split('/'), given)
    if (params) return make(web, { who, params, query })
  }
  return undefined
}

function matched(pattern: string[], given: string[]): Record<string, string> | undefined {
  if (pattern.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, part] of pattern.entries()) {
    const text = given[at]!
    if (!part.startsWith(':')) {
      if (part !== text) return undefined
      continue
    }
    const name = decoded(text)
    // No store keeps a NUL.
    if (!name || name.includes('\0')) return undefined
    params[part.slice(1)] = name
  }
  return params
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
