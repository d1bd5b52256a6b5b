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
  /** The run that the plan tells of. */
  private planned: string | undefined

  constructor(job: string, openJob: OpenStagedJob) {
    this.job = job
    this.openJob = openJob
  }

  async probe(): Promise<void> {
    await this.staged()
  }

  async describe(extract: ExtractSpec): Promise<TableSchema> {
    const model = modelOf(extract)
    const { of, found } = await this.ofLast(({ table }) => table(model))
    const { columns, rows, parts } = found
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
    this.planned = of.run
    return { columns, key: [], rows, bytes, notes: [`is ${this.job}.${model} ${asOf(of)}`] }
  }

  /** The files of all tables are held until it is closed: the job may run, and its older files be removed, as often as it likes. */
  async open(lanes: number, _signal: AbortSignal, reads: Read[]): Promise<Snapshot> {
    const { of, found } = await this.ofLast(({ hold }) => hold(reads.map(modelOf)))
    const { tables, release } = found
    return {
      lanes,
      ...(of.run !== this.planned && { note: `is read ${asOf(of)}` }),
      lane: { module: moduleBeside(import.meta.url, 'lane'), payload: null },
      rejoinable: true,
      joined: async () => {},
      ranges: async read => [rangeOf(read, tables.get(modelOf(read))!)],
      split: async () => undefined,
      check: async () => {},
      close: async () => release(),
    }
  }

  async close(): Promise<void> {}

  /** What `act` finds of the last run; of a later one, where that has replaced meanwhile what it had staged. */
  private async ofLast<T>(act: (of: StagedJob) => Promise<T>): Promise<{ of: StagedJob; found: T }> {
    for (;;) {
      const of = await this.staged()
      try {
        return { of, found: await act(of) }
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'STAGING_CORRUPT') throw error
        this.opened = undefined
        if ((await this.staged()).run === of.run) throw error
      }
    }
  }

  private staged(): Promise<StagedJob> {
    if (!this.opened) {
      const opened = this.openJob(this.job)
      this.opened = opened
      opened.catch(() => {
        this.opened = undefined
      })
    }
    return this.opened
  }
}

const modelOf = ({ options }: Pick<ExtractSpec, 'options'>) => (options as JobExtract).model

const asOf = ({ run, runAt }: StagedJob) => `as of ${runAt}, run ${run}`

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
  return { label: modelOf(read), rows: table.rows, payload: table }
}
