import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TaskStore } from '../../engine/contracts/tasks.ts'
import { Mask } from '../../engine/mask.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import type { FlowSpec } from '../../engine/runtime/spec.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import type { JobOutline } from '../config/outline.ts'

const MEMORY = 512 << 20
const nobody = { started() {}, advanced() {}, finished() {}, note() {} }

/** What a run works with, in a folder of its own that goes with `stack`: no source, no target, no state. */
export async function scratchContext(
  outline: JobOutline,
  runAt: Date,
  stack: AsyncDisposableStack,
): Promise<RunContext> {
  const root = stack.adopt(mkdtempSync(join(tmpdir(), 'nightfreight-try-')), folder =>
    rmSync(folder, { recursive: true, force: true }),
  )
  const spec: FlowSpec = {
    ...outline,
    resources: { memory: MEMORY, threads: 1 },
    parallelism: { maxParallelExtracts: 1, maxParallelLoads: 1 },
    retries: { limit: 0, delay: 0, maxDelay: 0 },
    chunking: { defaultChunkSize: 50_000, maxChunkSize: 500_000 },
  }
  const budget = shareMemory(MEMORY, 1)
  const duck = stack.adopt(await Duck.open({ memory: budget.sql, threads: 1, folders: [root] }), each =>
    each.close(),
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
  }
}

/** Each task is done once, and nothing is kept. */
const forgetful = (): TaskStore => ({
  output: async () => undefined,
  begin: async () => {},
  commit: async () => {},
  fail: async () => {},
  progress: async () => {},
})
