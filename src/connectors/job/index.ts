import { z } from 'zod'
import { defineConnector } from '../declare/define.ts'
import { JobSource } from './source.ts'

/** Models of another job, as its last run that loaded has staged them. */
export const job = defineConnector({
  name: 'job',
  schemes: ['job'],
  /** `job:shop`: the job's name. */
  config: z.strictObject({ url: z.string().regex(/^job:\w+$/i, 'expected job:NAME, the name of a job') }),
  /** Without a model, the extract's own name is that. */
  extract: z.strictObject({ model: z.string().optional() }),
  capabilities: { source: true, target: false, incremental: false, modes: [] },
  types: [],
  source: ({ url }, { openJob }) => new JobSource(url.slice('job:'.length), openJob!),
})
