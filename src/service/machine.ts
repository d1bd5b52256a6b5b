import { readFileSync } from 'node:fs'
import { cpus, freemem, totalmem } from 'node:os'

/** What the machine is used for, each 0 to 1; undefined where the system does not tell. */
export interface MachineUse {
  cpu: number
  memory: number
  /** Share of time in which the busiest disk was at work; Linux only. */
  disk: number | undefined
}

/** Milliseconds that a figure is about at least: over less it would say nothing. */
const LEAST_SPAN_MS = 500

/** How busy the machine is, between one question and the next. */
export class Machine {
  private before = sample()
  private use: MachineUse = { cpu: 0, memory: memoryUse(), disk: this.before.disks && 0 }

  /** Since it was asked last, or since it was made. */
  read(): MachineUse {
    const now = sample()
    const { at, busy, total, disks } = this.before
    if (now.at - at < LEAST_SPAN_MS) return this.use
    const share = (part: number, whole: number) => (whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0)
    const diskMs = [...(now.disks ?? [])].map(([name, ms]) => ms - (disks?.get(name) ?? ms))
    this.use = {
      cpu: share(now.busy - busy, now.total - total),
      memory: memoryUse(),
      disk: now.disks && share(Math.max(0, ...diskMs), now.at - at),
    }
    this.before = now
    return this.use
  }
}

function sample() {
  const times = cpus().map(({ times }) => times)
  const idle = times.reduce((sum, each) => sum + each.idle, 0)
  const total = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0)
  return { at: performance.now(), busy: total - idle, total, disks: diskTimes() }
}

/** A container's limit counts where it is lower than what the machine has. */
function memoryUse(): number {
  const limit = Math.min(process.constrainedMemory() || Infinity, totalmem())
  const free = limit < totalmem() ? process.availableMemory() : freemem()
  return Math.min(1, Math.max(0, 1 - free / limit))
}

/** Milliseconds that each disk has been busy since the system began: https://docs.kernel.org/admin-guide/iostats.html, field 10. */
function diskTimes(): Map<string, number> | undefined {
  try {
    const lines = readFileSync('/proc/diskstats', 'utf8').trim().split('\n')
    return new Map(
      lines.map(line => {
        const fields = line.trim().split(/\s+/)
        return [fields[2]!, Number(fields[12])]
      }),
    )
  } catch {
    return undefined
  }
}
