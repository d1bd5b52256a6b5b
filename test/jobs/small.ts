import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createLog } from '../../src/cli/log.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import type { RunOptions } from '../../src/runs/options.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { runJob } from '../../src/runs/runJob.ts'
import { runStep } from '../../src/runs/runStep.ts'
import { verifyJob } from '../../src/runs/verifyJob.ts'
import { commandLine, type Ended } from '../commandLine.ts'
import type { Hooks } from '../servers.ts'

const clock = { now: () => new Date() }
const nobody = { started() {}, advanced() {}, finished() {}, note() {} }

/** Keeps what a run notes. */
export const notesInto = (notes: string[]) => ({ ...nobody, note: (text: string) => void notes.push(text) })

/** A job of its own folder, state and name, in this process. */
export interface SmallJob {
  folder: string
  home: string
  metadata: Metadata
  /** Writes job.yaml anew; the first line, the job's name, is added. */
  yaml(text: string): void
  run(options?: Partial<RunOptions>): Promise<RunResult>
  /** One step of a run that an orchestrator calls `key`; throws what fails it. */
  step(key: string, step: string, env?: Record<string, string>): ReturnType<typeof runStep>
  verify(): ReturnType<typeof verifyJob>
  /** The command line on this job's state. */
  cli(...args: string[]): Promise<Ended>
  /** The same with an environment. */
  cliIn(env: Record<string, string>, ...args: string[]): Promise<Ended>
}

/** `files`: by their paths below the job's folder. */
export async function smallJob(hooks: Hooks, name: string, files: Record<string, string>): Promise<SmallJob> {
  const home = mkdtempSync(join(tmpdir(), `nightfreight-${name}-`))
  const folder = join(home, 'job')
  mkdirSync(folder)
  const metadata = await openMetadata(home, clock, undefined)
  hooks.after(async () => {
    await metadata.close()
    rmSync(home, { recursive: true, force: true })
  })
  const yaml = (text: string) => writeFileSync(join(folder, 'job.yaml'), `job: ${name}\n${text}`)
  for (const [file, text] of Object.entries(files))
    if (file === 'job.yaml') yaml(text)
    else {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
  const signal = new AbortController().signal
  const means = () => ({
    ...{ folder, env: {}, home, metadata, clock, progress: nobody, signal },
    log: createLog({ folder: home }),
    secrets: [],
  })
  return {
    folder,
    home,
    metadata,
    yaml,
    run: options => runJob({ ...means(), ...options }),
    step: (key, step, env = {}) => runStep({ ...means(), key, step, env }),
    verify: () => verifyJob({ folder, env: {}, home, progress: nobody, signal, secrets: [] }),
    cli: (...args) => commandLine(home, args),
    cliIn: (env, ...args) => commandLine(home, args, { env }),
  }
}
