import { statSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import type { Part } from '../../engine/contracts/staging.ts'
import { taskName } from '../../engine/contracts/taskName.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Extracted } from '../../engine/extract/extracted.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { lastRuns, type Prepared } from '../../engine/plan/prepare.ts'
import { counted } from '../../engine/plural.ts'
import { type RunContext, takenFile } from '../../engine/runtime/context.ts'
import { type Night, partsOf } from '../../engine/staging/image.ts'
import { atomicWrite, partOf, rowsIn } from '../../engine/staging/store.ts'
import type { FileStore } from '../stores/store.ts'
import { inParallel } from '../util/parallel.ts'
import { bunzip2, sha256Of } from './files.ts'
import type { ArchivedExtract, ArchivedPart, ArchivedRun } from './manifest.ts'

/** Files under way at a time. */
const AT_ONCE = 4

/**
 * Puts an archived run's raw data into a new run, as if it had read it: what is left is to go on. Nothing of it counts
 * before all of it is there: the plan is committed last. Fails with STAGING_CORRUPT where a file is not what was
 * written, with CONFIG_INVALID where the job has an extract that the archived run had not.
 */
export async function restoreInto(
  context: RunContext,
  store: FileStore,
  archived: ArchivedRun,
): Promise<void> {
  const { tasks, spec, progress } = context
  progress.started('restore')
  const plan: Prepared['plan'] = { reads: [], loads: spec.loads }
  const groups = new Map<string, Extracted[]>()
  for (const extract of spec.extracts) {
    const found = archived.extracts.find(({ read }) => read.extract === extract.name)
    if (!found)
      throw new EngineError(
        'CONFIG_INVALID',
        `${store.where}: run ${archived.run} of ${archived.job} has no extract ${extract.name}`,
        { hint: `It has ${archived.extracts.map(({ read }) => read.extract).join(', ')}.` },
      )
    const { read, extracted } = await restoreExtract(context, store, extract, found)
    plan.reads.push(read)
    groups.set(extract.from, [...(groups.get(extract.from) ?? []), extracted])
  }
  for (const [connection, extracted] of groups) {
    await tasks.begin(taskName('extract', connection))
    await tasks.commit(taskName('extract', connection), extracted)
  }
  await tasks.begin('plan')
  const restored = { run: archived.run, job: archived.job }
  await tasks.commit('plan', { plan, lastRun: await lastRuns(context), restored } satisfies Prepared)
  progress.finished('restore', `run ${archived.run} of ${archived.runAt}`)
}

async function restoreExtract(
  context: RunContext,
  store: FileStore,
  { name, from, options }: ExtractSpec,
  { read: planned, base, nights, watermark, note, cursor }: ArchivedExtract,
): Promise<{ read: PlannedRead; extracted: Extracted }> {
  // Its server is not told again how far its log was read.
  const { changes: _, ...read } = planned
  const restored: Night[] = []
  for (const { gone: archived, out: left, ...night } of nights) {
    const restoreParts = (parts: ArchivedPart[]) =>
      inParallel(parts, AT_ONCE, part => restorePart(context, store, name, part))
    const gone = archived && (await restoreParts(archived))
    const [out] = left ? await restoreParts([left]) : []
    const parts = await restoreParts(night.parts)
    restored.push({ ...night, parts, ...(gone && { gone }), ...(out && { out }) })
    await store.clear()
  }
  await context.staging.keep(restored.flatMap(night => partsOf(night).map(({ file }) => file)))
  const { parts, gone } = restored.at(-1)!
  const earlier = restored.slice(0, -1)
  const image = {
    columns: [...read.columns, ...read.absent],
    nights: earlier,
    parts: earlier.flatMap(night => partsOf(night)),
    read: base?.read,
  }
  if (read.accumulates)
    context.progress.note(
      `${read.where}: files that later runs took are not among its rows; the next run takes those that are still in the drop`,
    )
  return {
    read: {
      ...read,
      from,
      where: `${from}.${name}`,
      options,
      cursor: cursor,
      ...(base && { base: { value: base.value, run: base.run, image } }),
    },
    extracted: {
      extract: name,
      parts,
      rows: rowsIn(parts),
      ...(gone && { gone }),
      watermark,
      note,
      cursor,
    },
  }
}

async function restorePart(
  context: RunContext,
  store: FileStore,
  extract: string,
  { path, bytes, sha256, part }: ArchivedPart,
): Promise<Part> {
  const { root, signal } = context
  signal.throwIfAborted()
  const where = `${store.where}/${path}`
  const refuse = (why: string): never => {
    throw new EngineError('STAGING_CORRUPT', `${where} ${why}: ${counted(part.rows, 'row')}`, {
      hint: 'Nothing was restored or loaded. Take the file from a backup, or restore another run.',
    })
  }
  const copy = (await store.local(path)) ?? refuse('is missing')
  const { size } = statSync(copy)
  if (size !== bytes) refuse(`has ${counted(size, 'byte')} instead of ${bytes}`)
  if ((await sha256Of(copy)) !== sha256) refuse('is not what was written: its checksum differs')
  const file = takenFile(context, extract, part)
  await atomicWrite(join(root, file), temporary =>
    path.endsWith('.bz2') ? bunzip2(copy, temporary) : copyFile(copy, temporary),
  )
  const restored = await partOf(root, file)
  if (restored.rows !== part.rows) refuse(`has ${counted(restored.rows, 'row')} instead of ${part.rows}`)
  return { ...restored, ...(part.exact && { exact: part.exact }) }
}
