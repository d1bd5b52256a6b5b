import { statfsSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { EngineError } from '../../engine/errors.ts'
import type { JobSpec } from '../spec/job.ts'

/** Fails with RESOURCE_EXHAUSTED where the machine has less memory, or `home` less room, than the job asks for. */
export function checkResources({ job, resources }: Pick<JobSpec, 'job' | 'resources'>, home: string): void {
  const { memory, tempDisk } = resources
  const refuse = (message: string, hint: string) => {
    throw new EngineError('RESOURCE_EXHAUSTED', `${job}: ${message}`, { hint })
  }
  // A container's limit counts too; what it uses does not, for most of that is files in memory.
  const limit = process.constrainedMemory() || totalmem()
  const free = Math.min(freemem(), limit)
  if (free < memory)
    refuse(
      `resources.memory asks for ${size(memory)}, and ${size(free)} are free`,
      'Wait until other work has ended, or ask for less.',
    )
  if (tempDisk === undefined) return
  const { bavail, bsize } = statfsSync(home)
  const room = bavail * bsize
  if (room < tempDisk)
    refuse(
      `resources.temp_disk asks for ${size(tempDisk)}, and ${size(room)} are free in ${home}`,
      'Make room (nightfreight gc removes old runs), or ask for less.',
    )
}

const size = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
