import { mkdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Part } from '../../engine/contracts/staging.ts'
import { taskName } from '../../engine/contracts/taskName.ts'
import type { TaskStore } from '../../engine/contracts/tasks.ts'
import type { Extracted } from '../../engine/extract/extracted.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import type { Prepared } from '../../engine/plan/prepare.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { parquetCodec } from '../../engine/sql/duckdb.ts'
import { parquetSql } from '../../engine/sql/files.ts'
import { type Night, partsOf } from '../../engine/staging/image.ts'
import type { ArchiveSpec } from '../spec/archive.ts'
import type { FileStore } from '../stores/store.ts'
import { inParallel } from '../util/parallel.ts'
import { bzip2, sha256Of } from './files.ts'
import { type ArchivedExtract, type ArchivedPart, manifestPath, readArchived, seal } from './manifest.ts'

/** What came of archiving one run. */
export interface Archived {
  /** For people: where it is. */
  where: string
  /** Files that were written, and their bytes. */
  files: number
  bytes: number
}

/** A run whose raw data is to be archived. */
export interface ArchivableRun {
  run: string
  runAt: string
  fence: number
  tasks: Pick<TaskStore, 'output'>
}

type Means = Pick<RunContext, 'duck' | 'root' | 'staging' | 'spec' | 'clock' | 'signal'>

/** Files under way at a time. */
const AT_ONCE = 4

/**
 * Archives what a run read, and of earlier nights whatever its models saw and no archived run holds; parts first, the
 * manifest last. Repeated, it puts the same files in the same place: killed anywhere, nothing is lost and nothing twice.
 */
export async function archiveRun(
  means: Means,
  store: FileStore,
  spec: ArchiveSpec,
  source: ArchivableRun,
): Promise<Archived> {
  const { job } = means.spec
  const { run, runAt, tasks } = source
  const where = `${store.where}/${job}/${run}`
  await store.sweep(`${job}/${run}`, means.clock.now())
  if (await readArchived(store, job, run)) return { where, files: 0, bytes: 0 }
  const { plan } = (await tasks.output<Prepared>('plan'))!
  const extracts: ArchivedExtract[] = []
  const writer = new PartWriter(means, store, spec, source)
  try {
    for (const read of plan.reads) {
      const found = (await tasks.output<Extracted[]>(taskName('extract', read.from)))!
      const extracted = found.find(({ extract }) => extract === read.extract)!
      extracts.push(await archiveExtract(store, job, run, writer, read, extracted))
    }
  } finally {
    writer.close()
  }
  const archivedAt = means.clock.now().toISOString()
  await store.putIfAbsent(manifestPath(job, run), seal({ job, run, runAt, archivedAt, extracts }))
  return { where, files: writer.files, bytes: writer.bytes }
}

async function archiveExtract(
  store: FileStore,
  job: string,
  run: string,
  writer: PartWriter,
  { base, cursor: _, ...read }: PlannedRead,
  { parts, gone, watermark, note, cursor, folded }: Extracted,
): Promise<ArchivedExtract> {
  const earlier = base && (await readArchived(store, job, base.run))
  const known = new Map(
    (earlier?.extracts.find(({ read: { extract } }) => extract === read.extract)?.nights ?? [])
      .flatMap(night => partsOf(night))
      .map(archived => [archived.part.file, archived]),
  )
  const nights: ArchivedExtract['nights'] = []
  const tonight: Night = { run, columns: read.columns, parts, gone }
  // What was folded is the run's own; its base's files may be let go of before an archive that is late.
  for (const night of [...(folded ?? base?.image.nights ?? []), tonight]) {
    const gone = night.gone && (await writer.write(night.gone, known))
    const [out] = night.out ? await writer.write([night.out], known) : []
    nights.push({ ...night, parts: await writer.write(night.parts, known), gone, out })
  }
  return {
    read,
    ...(base && { base: { value: base.value, run: base.run, read: base.image.read } }),
    watermark,
    note,
    cursor,
    nights,
  }
}

class PartWriter {
  files = 0
  bytes = 0
  private readonly means: Means
  private readonly store: FileStore
  private readonly spec: ArchiveSpec
  private readonly fence: number
  /** Folder for files under way, where DuckDB may write. */
  private readonly work: string
  private turn: Promise<unknown> = Promise.resolve()

  constructor(means: Means, store: FileStore, spec: ArchiveSpec, { run, fence }: ArchivableRun) {
    this.means = means
    this.store = store
    this.spec = spec
    this.fence = fence
    this.work = join(means.root, means.spec.job, run, 'archive')
    mkdirSync(this.work, { recursive: true })
  }

  /** Writes the parts that are not `known`. */
  async write(parts: Part[], known: Map<string, ArchivedPart>): Promise<ArchivedPart[]> {
    return inParallel(parts, AT_ONCE, async part => known.get(part.file) ?? this.writePart(part))
  }

  close(): void {
    rmSync(this.work, { recursive: true, force: true })
  }

  private async writePart(part: Part): Promise<ArchivedPart> {
    const { staging, signal } = this.means
    signal.throwIfAborted()
    await staging.bring([part])
    const written = join(this.work, part.file.replaceAll('/', '-'))
    // DuckDB has one statement at a time; sending goes on beside it.
    const own = this.turn.then(() => this.encode(join(this.means.root, part.file), written))
    this.turn = own.catch(() => {})
    await own
    const packed = this.spec.compression === 'bzip2'
    const file = packed ? await bzip2(written) : written
    const { size } = statSync(file)
    const sha256 = await sha256Of(file)
    const path = this.pathOf(part.file, packed ? '.bz2' : '')
    await this.store.putFile(path, file)
    this.files++
    this.bytes += size
    return { path, bytes: size, sha256, part }
  }

  private encode(from: string, to: string): Promise<void> {
    const { compression, level } = this.spec
    const codec = parquetCodec(
      compression === 'bzip2' ? { compression: 'uncompressed' } : { compression, level },
    )
    const rows = `FROM ${parquetSql([from])}`
    return this.means.duck.copyParquet(rows, to, codec)
  }

  /** As in staging. Who took the run over writes under other names than the one who may still wake up. */
  private pathOf(file: string, ending: string): string {
    const mark = this.fence > 1 ? `.${this.fence}` : ''
    return `${file.slice(0, -basename(file).length)}${basename(file, '.parquet')}${mark}.parquet${ending}`
  }
}
