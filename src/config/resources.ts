import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { LEAST_MEMORY } from '../../engine/runtime/budget.ts'

interface Scalars {
  bytes: z.ZodType<number>
  count: z.ZodType<number>
  positive: z.ZodType<number>
}

const GB = 1e9
const MB = 1e6
const DEFAULT_MEMORY = 1e9
/** A chunk is at most so many times the default where nothing else is said. */
const GROWTH = 10

/** Another spelling of a key, in another unit. */
const SPELLINGS = { memory_gb: 'memory', temp_storage_gb: 'temp_disk', cpu_cores: 'threads' } as const

const least = `expected at least ${Math.ceil(LEAST_MEMORY / 1e6)}MB: less leaves nothing for the data`

/** What a run may take of its machine: `memory`, `temp_disk`, `threads`, or the same in gigabytes and cores. */
export const resourcesSchema = ({ bytes, count, positive }: Scalars) =>
  z
    .strictObject({
      memory: bytes.optional(),
      temp_disk: bytes.optional(),
      threads: count.optional(),
      memory_gb: positive.optional(),
      temp_storage_gb: positive.optional(),
      cpu_cores: count.optional(),
    })
    .superRefine((given, context) => {
      const refuse = (key: string, message: string) =>
        context.addIssue({ code: 'custom', path: [key], message })
      for (const [spelling, key] of Object.entries(SPELLINGS) as [
        keyof typeof SPELLINGS,
        keyof typeof given,
      ][])
        if (given[spelling] !== undefined && given[key] !== undefined)
          refuse(spelling, `expected either ${key} or ${spelling}: they say the same`)
      if ((given.memory ?? LEAST_MEMORY) < LEAST_MEMORY) refuse('memory', least)
      if ((given.memory_gb ?? GB) * GB < LEAST_MEMORY) refuse('memory_gb', least)
    })
    .transform(({ memory, temp_disk, threads, memory_gb, temp_storage_gb, cpu_cores }) => {
      const tempDisk = temp_disk ?? (temp_storage_gb === undefined ? undefined : temp_storage_gb * GB)
      return {
        memory: memory ?? (memory_gb === undefined ? DEFAULT_MEMORY : memory_gb * GB),
        threads: threads ?? cpu_cores ?? availableParallelism(),
        ...(tempDisk !== undefined && { tempDisk }),
      }
    })
    .prefault({})

/**
 * How many rows are read at a time. With `adaptive_sizing` between default and most, by how long the rows are; without,
 * always the default. `memory_threshold_mb`: what the batches of all lanes together may take.
 */
export const chunkingSchema = ({ count, positive }: Scalars) =>
  z
    .strictObject({
      default_chunk_size: count.default(50_000),
      max_chunk_size: count.optional(),
      adaptive_sizing: z.boolean().default(true),
      memory_threshold_mb: positive.optional(),
    })
    .superRefine(({ default_chunk_size, max_chunk_size = default_chunk_size, adaptive_sizing }, context) => {
      const refuse = (message: string) =>
        context.addIssue({ code: 'custom', path: ['max_chunk_size'], message })
      if (max_chunk_size < default_chunk_size) refuse('expected at least default_chunk_size')
      if (!adaptive_sizing && max_chunk_size > default_chunk_size)
        refuse('expected adaptive_sizing: true, without which every chunk has default_chunk_size rows')
    })
    .transform(({ default_chunk_size: rows, max_chunk_size, adaptive_sizing, memory_threshold_mb }) => ({
      defaultChunkSize: rows,
      maxChunkSize: adaptive_sizing ? (max_chunk_size ?? rows * GROWTH) : rows,
      ...(memory_threshold_mb !== undefined && { memoryThreshold: memory_threshold_mb * MB }),
    }))
    .prefault({})
