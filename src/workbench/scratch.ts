import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import type { TaskStore } from '../../engine/contracts/tasks.ts'
import { Mask } from '../../engine/mask.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import type { FlowSpec } from '../../engine/runtime/spec.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import type { Column } from '../../engine/types/logical.ts'
import type { JobOutline } from '../config/outline.ts'

const MEMORY = 512 << 20
const nobody = { started() {}, advanced() {}, finished() {}, note() {} }

/** What is tried works with. */
export interface Scratch extends RunContext {
  /** An absolute folder for files that go with it. */
  temporary: string
}

/**
 * What a run works with, and no source, target or state; it goes with `stack`. `staged`: a staging root that is read; without
 * it, a folder of its own. `place`: one more folder that queries may use.
 */
export async function scratchContext(
  outline: JobOutline,
  runAt: Date,
  stack: AsyncDisposableStack,
  staged?: string,
  place?: string,
): Promise<Scratch> {
  const temporary = stack.adopt(mkdtempSync(join(tmpdir(), 'nightfreight-try-')), folder =>
    rmSync(folder, { recursive: true, force: true }),
  )
  const root = staged ?? temporary
  const folders = [
    temporary,
    ...(staged === undefined ? [] : [join(root, outline.job)]),
    ...(place === undefined ? [] : [place]),
  ]
  const spec: FlowSpec = {
    ...outline,
    resources: { memory: MEMORY, threads: 1 },
    parallelism: { maxParallelExtracts: 1, maxParallelLoads: 1 },
    retries: { limit: 0, delay: 0, maxDelay: 0 },
    chunking: { defaultChunkSize: 50_000, maxChunkSize: 500_000 },
  }
  const budget = shareMemory(MEMORY, 1)
  const duck = stack.adopt(
    await Duck.open({
      memory: budget.sql,
      threads: staged === undefined ? 1 : availableParallelism(),
      folders,
    }),
    each => each.close(),
  )
  const workers = stack.adopt(new Workers(1), each => each.close())
  const never = new AbortController().signal
  return {
    spec,
    run: 'try',
    runAt,
    sources: new Map(),
    targets: new Map(),
    root,
    staging: new LocalStaging(root),
    tasks: forgetful(),
    clock: { now: () => runAt },
    progress: nobody,
    corrections: async () => [],
    acquireSlots: async () => async () => {},
    signal: never,
    stop: never,
    fence: 1,
    mask: Mask.none,
    workers,
    budget,
    duck,
    temporary,
  }
}

/** An extract's table as a run would plan to read it. */
export const readOf = (
  { budget, spec }: RunContext,
  { name, from, incremental }: ExtractSpec,
  { columns, key }: { columns: Column[]; key: string[] },
): PlannedRead => ({
  extract: name,
  from,
  where: `${from}.${name}`,
  columns,
  key,
  unique: false,
  absent: [],
  notes: [],
  options: {},
  limits: { rows: spec.chunking.defaultChunkSize, bytes: budget.batch },
  ...(incremental && { incremental }),
})

/** Each task is done once, and nothing is kept. */
const forgetful = (): TaskStore => ({
  output: async () => undefined,
  begin: async () => {},
  commit: async () => {},
  fail: async () => {},
  progress: async () => {},
})
