import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Part, StagedFile } from '../../engine/contracts/staging.ts'
import { taskName } from '../../engine/contracts/taskName.ts'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Extracted } from '../../engine/extract/extracted.ts'
import { didYouMean } from '../../engine/nearest.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { checkLoads, lastRuns, type Prepared } from '../../engine/plan/prepare.ts'
import { type RunContext, runFolder, takenFile } from '../../engine/runtime/context.ts'
import type { Correction } from '../../engine/runtime/correction.ts'
import type { OrderedModel } from '../../engine/sql/model.ts'
import type { LastValues } from '../../engine/sql/variables.ts'
import { type Image, imageFile, type Night, partsOf } from '../../engine/staging/image.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { atomicWrite, isIntact, linkOrCopy, manifestIn } from '../../engine/staging/store.ts'
import type { RememberedExtract } from '../config/wildcards.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { hasMetadata, openMetadata } from '../metadata/open.ts'
import { isDone } from '../metadata/runs.ts'
import type { HistoryRecord } from '../metadata/syncHistory.ts'
import type { JobSpec } from '../spec/job.ts'
import type { BucketStaging } from '../stores/staging.ts'
import { shellWord } from '../util/shell.ts'
import type { Production } from './environment.ts'
import { correctionsOf } from './errors.ts'
import { EARLIER, lastValues } from './lastValues.ts'
import { openStaging } from './staging.ts'

type JobContext = RunContext & { spec: JobSpec }

/** Runs among which the last one that loaded is looked for. */
const LOOKED_AT = 100

/** The last run of production that loaded, as runs in an environment see it. Nothing is written there. */
export class ProductionRun implements AsyncDisposable {
  private readonly place: Production
  private readonly metadata: Metadata
  private readonly last: HistoryRecord
  private readonly planned: PlannedRead[]

  private constructor(place: Production, metadata: Metadata, last: HistoryRecord, planned: PlannedRead[]) {
    this.place = place
    this.metadata = metadata
    this.last = last
    this.planned = planned
  }

  /** Fails with NOT_STAGED where no run of the job has loaded. */
  static async open(place: Production, job: string, folder: string, clock: Clock): Promise<ProductionRun> {
    const never = (near = '') =>
      new EngineError(
        'NOT_STAGED',
        `production of ${job} has never run: no run of it has loaded, by ${place.metadataUrl ? 'METADATA_URL' : place.home}${near}`,
        {
          hint: `Run it once, without --env: nightfreight run ${shellWord(folder)}`,
        },
      )
    if (!hasMetadata(place.home, place.metadataUrl)) throw never()
    const metadata = await openMetadata(place.home, clock, place.metadataUrl)
    try {
      const runs = await metadata.history({ job, limit: LOOKED_AT })
      const last = runs.find(({ status, trigger }) => isDone(status) && !EARLIER.includes(trigger))
      const prepared =
        last && (await metadata.taskStore({ run: last.run, fence: 0 }).output<Prepared>('plan'))
      if (!last || !prepared) throw never()
      return new ProductionRun(place, metadata, last, prepared.plan.reads)
    } catch (error) {
      await metadata.close()
      throw error
    }
  }

  /** The time of that run. */
  get runAt(): Date {
    return new Date(this.last.run_at)
  }

  /** What it read. */
  get read(): RememberedExtract[] {
    return this.planned.map(({ extract, key, catalog }) => ({ name: extract, key, catalog }))
  }

  corrections(job: string, table: string): Promise<Correction[]> {
    return correctionsOf(this.metadata, job, table)
  }

  lastValues(spec: JobSpec): Promise<LastValues> {
    return lastValues(this.metadata, spec)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.metadata.close()
  }

  /**
   * Fills a run with what production's has staged, as if it had read it: files are linked into the run's own folder, so that no
   * clean-up of production takes them away. The plan is committed last. Fails with CONFIG_INVALID where a target is
   * production's own, with NOT_STAGED where an extract is not there.
   */
  async fill(context: JobContext, models: OrderedModel[]): Promise<void> {
    const { tasks, spec, progress } = context
    await this.refuseOwn(context)
    const { stagingUrl, home } = this.place
    const from = join(home, 'staging')
    const scratch = join(context.root, runFolder(context), 'production')
    const bucket = openStaging(stagingUrl, scratch)
    try {
      const groups = new Map<string, Extracted[]>()
      const reads: PlannedRead[] = []
      for (const { name, from: connection, options, sensitive } of spec.extracts) {
        const image = await this.link(context, name, from, bucket && { staging: bucket, root: scratch })
        const {
          changes: _,
          since: __,
          base,
          cursor: ___,
          ...planned
        } = this.planned.find(({ extract }) => extract === name)!
        const value = base?.value ?? null
        const notes = [
          `is not read: as production has staged it, run ${this.last.run} of ${this.last.run_at}`,
        ]
        progress.note(`${connection}.${name}: ${notes[0]}`)
        reads.push({
          ...planned,
          from: connection,
          where: `${connection}.${name}`,
          options,
          ...(sensitive && { sensitive }),
          base: { value, run: this.last.run, image },
          reused: true,
          notes,
        })
        const read: Extracted = { extract: name, parts: [], rows: 0, watermark: value }
        groups.set(connection, [...(groups.get(connection) ?? []), read])
      }
      checkLoads(
        spec.loads,
        this.planned.filter(({ extract }) => reads.some(read => read.extract === extract)),
        models,
      )
      for (const [connection, extracted] of groups) {
        await tasks.begin(taskName('extract', connection))
        await tasks.commit(taskName('extract', connection), extracted)
      }
      // What the job says of an extract may hold secrets, which are kept nowhere.
      const kept = reads.map(read => ({ ...read, options: undefined }))
      const plan = { reads: kept, loads: spec.loads, ...(context.refresh && { refresh: context.refresh }) }
      await tasks.begin('plan')
      await tasks.commit('plan', { plan, lastRun: await lastRuns(context) } satisfies Prepared)
    } finally {
      bucket?.close()
      rmSync(scratch, { recursive: true, force: true })
    }
  }

  /** Whatever name leads to it: a target that knows a run of production was loaded by it. */
  private async refuseOwn({ spec, targets, signal }: JobContext): Promise<void> {
    for (const [name, target] of targets)
      for (const { run } of await target.syncPoints(spec.job, signal))
        if (await this.metadata.run(run))
          throw new EngineError(
            'CONFIG_INVALID',
            `environments.${spec.environment}.targets.${name}: run ${run} of production has loaded it: it is production's own, or a copy of that`,
            {
              hint: 'Give the environment a database, file or folder of its own, empty at first. Nothing was loaded.',
            },
          )
  }

  /** The image of an extract, its files in this run's folder. */
  private async link(
    context: JobContext,
    extract: string,
    from: string,
    bucket?: { staging: BucketStaging; root: string },
  ): Promise<Image> {
    const { spec, root, signal } = context
    const { run } = this.last
    const names = this.planned.map(each => each.extract)
    const refuse = (what: string) =>
      new EngineError('NOT_STAGED', `${extract}: ${what}`, {
        hint: `An environment reads no source. Let production read it, without --env: nightfreight run ${shellWord(spec.folder)}`,
      })
    if (!names.includes(extract))
      throw refuse(`run ${run} of production has not read it${didYouMean(extract, names)}`)
    const manifest = imageFile(spec.job, run, extract)
    const text = bucket
      ? ((await bucket.staging.read(manifest)) ?? (await bucket.staging.readUnshared(manifest, from)))
      : await new LocalStaging(from).read(manifest)
    const image = text === undefined ? undefined : manifestIn<Image>(text)
    const gone = `what run ${run} of production has staged is gone or damaged`
    if (!image) throw refuse(gone)
    const take = async (part: Part): Promise<Part> => {
      signal.throwIfAborted()
      const linked = { ...part, file: takenFile(context, extract, part) }
      if (await takeFile(join(from, part.file), root, linked)) return linked
      const isBrought = (await bucket?.staging.bring([part])) ?? false
      if (isBrought && (await takeFile(join(bucket!.root, part.file), root, linked))) return linked
      throw refuse(gone)
    }
    const all = new Map<string, Part>()
    for (const part of image.nights.flatMap(night => partsOf(night)))
      if (!all.has(part.file)) all.set(part.file, await take(part))
    const moved = (parts: Part[]) => parts.map(({ file }) => all.get(file)!)
    const nights = image.nights.map(
      (night): Night => ({
        ...night,
        parts: moved(night.parts),
        ...(night.gone && { gone: moved(night.gone) }),
        ...(night.out && { out: all.get(night.out.file)! }),
      }),
    )
    return { ...image, nights, parts: nights.flatMap(night => partsOf(night)) }
  }
}

/** Gives a file a second name below `root`; false where it is not there, or not what it was. */
async function takeFile(from: string, root: string, to: StagedFile): Promise<boolean> {
  try {
    await atomicWrite(join(root, to.file), temporary => linkOrCopy(from, temporary))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return isIntact(root, to)
}
