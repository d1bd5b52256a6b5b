import { matchesGlob } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { leadsOut } from './store.ts'

/** Where the files that a glob matches can be: a folder without wildcards, and whether below it too. */
export interface Reach {
  folder: string
  deep: boolean
}

/** The reach of a glob below a drop. Fails with PERMISSION_DENIED where it leads out of the drop. */
export function reachOf(where: string, glob: string): Reach {
  if (leadsOut(glob))
    throw new EngineError(
      'PERMISSION_DENIED',
      `${where}: files: ${JSON.stringify(glob)} leads out of the drop`,
      {
        hint: 'Write it relative to the connection, without ../ and without a slash first.',
      },
    )
  const steps = glob.split('/')
  const wild = steps.findIndex(step => /[*?[\]{}()!+@\\]/.test(step))
  const fixed = wild < 0 ? steps.slice(0, -1) : steps.slice(0, wild)
  return { folder: fixed.join('/'), deep: wild >= 0 && wild < steps.length - 1 }
}

/** Every sign but this one is left out: the sign itself would steer the glob also within brackets. */
const BRACE = '[!\u0001-z|-\uffff]'
const BACKSLASH = '[!]-\uffff\u0001-[]'

/** A glob that matches this name alone. */
export function literalGlob(name: string): string {
  // Braces around a comma are alternatives, whatever stands around each.
  const brace = /\{.*,.*\}/s.test(name) ? BRACE : '[{]'
  const signs: Record<string, string> = { '{': brace, '\\': BACKSLASH }
  return name.replace(/[[\]{}()?*\\]/g, sign => signs[sign] ?? `[${sign}]`)
}

/** Whether a name matches one of the globs. Names that begin with a dot are matched by globs that say the dot only. */
export function matches(name: string, globs: string[]): boolean {
  return globs.some(glob => glob === name || matchesGlob(name, glob))
}
