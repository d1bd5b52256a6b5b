import type {
  ExtractSpec,
  Range,
  Read,
  Snapshot,
  Source,
  TableSchema,
} from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { columnNamed, typeName } from '../../../engine/types/logical.ts'
import type { OpenStagedJob, StagedJob, StagedTable } from '../declare/stagedJob.ts'

/** An extract's keys as `index.ts` parsed them. */
interface JobExtract {
  model: string
}

/** The last run of a job that loaded, as a source: all tables are of one run. */
export class JobSource implements Source {
  private readonly job: string
  private readonly openJob: OpenStagedJob
  private opened: Promise<StagedJob> | undefined

  constructor(job: string, openJob: OpenStagedJob) {
    this.job = job
    this.openJob = openJob
  }

  async probe(): Promise<void> {
    await this.staged()
  }

  async describe({ options }: ExtractSpec): Promise<TableSchema> {
    const { run, runAt, table } = await this.staged()
    const { model } = options as JobExtract
    const { columns, rows, parts } = await table(model)
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
    return { columns, key: [], rows, bytes, notes: [`is ${this.job}.${model} as of ${runAt}, run ${run}`] }
  }

  async open(lanes: number): Promise<Snapshot> {
    const { table } = await this.staged()
    return {
      lanes,
      lane: { module: moduleBeside(import.meta.url, 'lane'), payload: null },
      rejoinable: true,
      joined: async () => {},
      ranges: async read => [rangeOf(read, await table((read.options as JobExtract).model))],
      split: async () => undefined,
      check: async () => {},
      close: async () => {},
    }
  }

  async close(): Promise<void> {}

  private staged(): Promise<StagedJob> {
    this.opened ??= this.openJob(this.job)
    return this.opened
  }
}

function rangeOf(read: Read, table: StagedTable): Range {
  for (const { name, type } of read.columns) {
    const there = columnNamed(table.columns, name)
    if (!there || typeName(there.type) !== typeName(type))
      throw new EngineError(
        'SCHEMA_DRIFT',
        `${read.where}.${name}: is ${there ? typeName(there.type) : 'gone'}, and was ${typeName(type)} when this run began`,
        { hint: 'The other job has run meanwhile: run this one again.' },
      )
  }
  return { label: (read.options as JobExtract).model, rows: table.rows, payload: table }
}
