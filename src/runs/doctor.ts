import { accessSync, constants, statfsSync } from 'node:fs'
import { EngineError } from '../../engine/errors.ts'
import { readerOf } from '../../engine/plan/prepare.ts'
import type { Diagnosis } from '../connectors/declare/define.ts'
import type { OpenStagedJob } from '../connectors/declare/stagedJob.ts'
import type { JobConnection, JobSpec } from '../spec/job.ts'
import { makeFolder } from '../util/folder.ts'
import { redact } from '../util/redact.ts'
import { checkResources } from './resources.ts'

/** What was found of one thing that a job needs: a connection, or this machine. */
export interface Examined {
  name: string
  findings: Diagnosis[]
}

/** Looks at everything that a job needs, side by side, and changes nothing. Finds all that is wrong, not the first. */
export async function examine(
  spec: JobSpec,
  home: string,
  openJob: OpenStagedJob,
  signal: AbortSignal,
): Promise<Examined[]> {
  const used = Object.values(spec.connections).filter(({ name }) => isUsed(spec, name))
  const examined = [
    examineMachine(spec, home),
    ...used.map(connection => examineConnection(spec, connection, openJob, signal)),
  ]
  const mask = (text: string) => redact(text, spec.secrets)
  return (await Promise.all(examined)).map(({ name, findings }) => ({
    name,
    findings: findings.map(({ ok, optional, what, fix }) => ({
      ok,
      ...(optional && { optional }),
      what: mask(what),
      ...(fix !== undefined && { fix: mask(fix) }),
    })),
  }))
}

const isUsed = (spec: JobSpec, name: string) =>
  spec.extracts.some(({ from }) => from === name) || spec.loads.some(({ to }) => to === name)

async function examineMachine(spec: JobSpec, home: string): Promise<Examined> {
  const findings: Diagnosis[] = []
  try {
    makeFolder(home, 0o700)
    accessSync(home, constants.W_OK)
    const { bavail, bsize } = statfsSync(home)
    findings.push({
      ok: true,
      what: `${home} can be written, ${(Number(bavail * bsize) / 1e9).toFixed(1)} GB are free`,
    })
  } catch (error) {
    findings.push({
      ok: false,
      what: (error as Error).message,
      fix: 'export NIGHTFREIGHT_HOME=/a/folder/of/yours',
    })
  }
  findings.push(
    ...(await tried('memory and disk are what the job asks for', async () => checkResources(spec, home))),
  )
  return { name: 'this machine', findings }
}

async function examineConnection(
  { job, extracts, loads }: JobSpec,
  { name, connector, config, context }: JobConnection,
  openJob: OpenStagedJob,
  signal: AbortSignal,
): Promise<Examined> {
  const own = extracts.filter(({ from }) => from === name)
  const into = loads.filter(({ to }) => to === name)
  const source = own.length > 0 ? connector.source!(config, { ...context, openJob }) : undefined
  const target = into.length > 0 ? connector.target!(config, context) : undefined
  try {
    const findings = await tried('it can be reached', async () => {
      await source?.probe(signal)
      await target?.probe(signal)
    })
    if (findings.some(({ ok }) => !ok)) return { name, findings }
    if (connector.diagnose) {
      const needs = {
        reads: own.flatMap(({ options }) => (options as { table?: string }).table ?? []),
        loads: into.map(({ table }) => table),
        follows: own.flatMap(({ changes, options, key }) =>
          changes ? [{ table: (options as { table: string }).table, key, reader: readerOf(job, name) }] : [],
        ),
      }
      try {
        findings.push(...(await connector.diagnose(config, context, needs, signal)))
      } catch (error) {
        findings.push(failure(error))
      }
    } else
      for (const extract of own)
        findings.push(
          ...(await tried(`${extract.name} can be read`, () => source!.describe(extract, signal))),
        )
    return { name, findings }
  } finally {
    await source?.close()
    await target?.close()
  }
}

async function tried(what: string, act: () => Promise<unknown>): Promise<Diagnosis[]> {
  try {
    await act()
    return [{ ok: true, what }]
  } catch (error) {
    return [failure(error)]
  }
}

function failure(error: unknown): Diagnosis {
  if (!(error instanceof EngineError)) throw error
  const { code, message, hint } = error
  return { ok: false, what: `${code}: ${message}`, ...(hint !== undefined && { fix: hint }) }
}
