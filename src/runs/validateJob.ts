import { Duck } from '../../engine/sql/duckdb.ts'
import { graphOf } from '../../engine/sql/graph.ts'
import type { SqlGraph } from '../../engine/sql/model.ts'
import { loadJob } from '../config/load.ts'
import type { JobSpec } from '../spec/job.ts'

/** A job's folder that is valid. */
export interface Valid {
  spec: JobSpec
  graph: SqlGraph
}

/** Checks a job's folder without touching any system. Fails with CONFIG_INVALID or MODEL_INVALID. */
export async function validateJob(folder: string, env: Record<string, string | undefined>): Promise<Valid> {
  const spec = await loadJob(folder, env)
  const duck = await Duck.open({ threads: 1 })
  try {
    return { spec, graph: await graphOf(duck, spec) }
  } finally {
    duck.close()
  }
}
