import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import type { RunRecord } from '../metadata/runs.ts'
import { byExact, untold } from '../runs/correctionCsv.ts'
import { shownRecord } from '../runs/mask.ts'
import type { Launched } from '../service/launch.ts'
import { isRunning } from '../util/owner.ts'
import { legible, ofLegible } from '../util/printable.ts'
import { jobPath, runPath } from '../util/site.ts'
import type { Identity } from './access.ts'
import type { WebContext } from './context.ts'
import { recordPath } from './pages/errors.ts'

/** A form as it was sent: of a name that was sent more than once, all values. */
export type Form = ReadonlyMap<string, string[]>

/** What came of an action, and where to look next. */
interface Acted {
  said: string
  to: string
}

/** What is done to a thing that a path names; fails with an EngineError where it is refused. */
export type Act = (web: WebContext, name: string, form: Form, who: Identity) => Promise<Acted>

const refuse = (message: string): never => {
  throw new EngineError('RESUME_REFUSED', message)
}

async function runOf({ metadata }: WebContext, name: string): Promise<RunRecord> {
  return (await metadata.run(name)) ?? refuse(`run ${name}: there is none of that id`)
}

function folderOf({ catalog }: WebContext, job: string): string {
  return (
    catalog.jobs.get(job)?.folder ??
    refuse(`${job}: it is not served here, so nobody knows where its files are`)
  )
}

/** Leads to the run that was begun; to its job where nobody can tell yet. */
function begun(launched: Launched, said: string, otherwise: string): Acted {
  if (!launched.ok) throw new EngineError('RESUME_REFUSED', launched.reason)
  return { said, to: launched.run === undefined ? otherwise : runPath(launched.run) }
}

const cancel =
  (level: 1 | 2): Act =>
  async (web, name) => {
    const run = await runOf(web, name)
    const goesOn = run.status === 'RUNNING' && isRunning(run, web.clock.now())
    if (!goesOn || !(await web.metadata.requestCancel(name, level))) refuse(`run ${name} is not running`)
    return { said: level === 1 ? 'It stops at its next commit.' : 'It is being stopped.', to: runPath(name) }
  }

const resume =
  (...flags: string[]): Act =>
  async (web, name) => {
    const run = await runOf(web, name)
    const folder = web.catalog.jobs.get(run.job)?.folder
    const words = ['resume', name, ...flags, ...(folder ? ['--folder', folder] : [])]
    return begun(await web.launcher.begin(...words), 'It goes on.', runPath(name))
  }

/** Actions on a run. */
export const RUN_ACTIONS: Record<string, Act> = {
  cancel: cancel(1),
  stop: cancel(2),
  resume: resume(),
  accept: resume('--accept-changes'),
  async load(web, name) {
    const { job } = await runOf(web, name)
    const folder = folderOf(web, job)
    return begun(
      await web.launcher.begin('run', folder, '--from-plan', name),
      'The plan is being loaded.',
      runPath(name),
    )
  },
}

/** Actions on a job. */
export const JOB_ACTIONS: Record<string, Act> = {
  async run(web, job) {
    return begun(await web.launcher.begin('run', folderOf(web, job)), 'A run begins.', jobPath(job))
  },
  async refresh(web, job, form) {
    const table = form.get('table')?.[0] ?? refuse('no table was named')
    // The table is one value of an option of several: what begins with a dash would be another option.
    if (table.startsWith('-')) refuse(`${table} is no table`)
    const words = ['run', folderOf(web, job), '--full-refresh', table]
    return begun(await web.launcher.begin(...words), `A full refresh of ${table} begins.`, jobPath(job))
  },
  async pause({ metadata, catalog }, job, _, { name }) {
    if (!catalog.jobs.has(job)) refuse(`${job} is not served here`)
    await metadata.pauses.pause('job', job, name)
    return { said: `${job} is paused.`, to: jobPath(job) }
  },
  async unpause({ metadata }, job) {
    await metadata.pauses.unpause('job', job)
    return { said: `${job} goes on.`, to: jobPath(job) }
  },
}

/** Actions on rejected rows, those that the form names. */
export const ERROR_ACTIONS: Record<string, Act> = {
  async reprocess({ metadata }, _, form) {
    const moved = await metadata.errors.moveAll({ ids: chosen(form) }, 'open', 'queued')
    return { said: `${moved} ${rowsWord(moved)} the next run.`, to: '/errors?state=queued' }
  },
  async discard({ metadata }, _, form) {
    const moved = await metadata.errors.discard({ ids: chosen(form) })
    return { said: `${counted(moved, 'row')} ${moved === 1 ? 'is' : 'are'} discarded.`, to: '/errors' }
  },
}

const rowsWord = (rows: number) => (rows === 1 ? 'row joins' : 'rows join')

function chosen(form: Form): string[] {
  const ids = form.get('id') ?? []
  if (ids.length === 0) refuse('no row was chosen')
  return ids
}

/** Sets what replaces a row's values, and has the next run take it. */
export const correct: Act = async ({ metadata, mask }, id, form) => {
  const found = (await metadata.errors.find(id)) ?? refuse(`there is no rejected row ${id}`)
  const changed = changedValues(found, shownRecord(mask, found).record, form)
  if (Object.keys(changed).length === 0) refuse('no value was changed')
  if ((await metadata.errors.queueCorrected(new Map([[id, changed]]))) === 0)
    refuse('somebody else has just dealt with this row')
  return { said: 'The corrected row joins the next run.', to: recordPath(id) }
}

/** Values other than those that were shown: what stands for a sensitive one, left as it is, changes nothing. */
function changedValues(
  found: ErrorRecord,
  shown: ErrorRecord['record'],
  form: Form,
): Record<string, string | null> {
  const changed: [column: string, value: string | null][] = []
  for (const [index, name] of Object.keys(found.record).entries()) {
    const text = form.get(`value-${index}`)?.[0]
    if (text === undefined) continue
    const value = form.has(`null-${index}`) ? null : text
    const was = shown[name] ?? null
    if (formText(value) === formText(was)) continue
    const meant = value === null || was === null ? value : ofLegible(value, was)
    changed.push([name, meant === undefined ? refuse(`${untold(name)}. ${byExact(found)}`) : meant])
  }
  return Object.fromEntries(changed)
}

/** A value as a form shows it and sends it back: line ends its own way, what would steer the reader made visible. */
const formText = (value: string | null): string | null => (value === null ? null : legible(value))
